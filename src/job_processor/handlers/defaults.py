"""What a processor says of all its jobs and crons that do not say otherwise."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from job_processor.errors import DefinitionError, InvalidArgumentError
from job_processor.handlers.around import Around
from job_processor.handlers.definitions import (
    CommonOptions,
    Definition,
    JobOptions,
    check_common,
    check_importable,
)
from job_processor.handlers.options import check_options
from job_processor.handlers.resources import asking, check_manager

AnyDefinition = TypeVar("AnyDefinition", bound=Definition)
_SAME = frozenset(("max_runtime", "max_runtime_in_minutes"))


class Defaults:
    """Options that hold where a definition has none of its own.

    options: those of a `JobDef`. around: stands around every run, outside of what a definition has.

    Raises DefinitionError for an option that does not exist, InvalidArgumentError for no options.
    """

    def __init__(self, options: JobOptions | None = None, around: Around | None = None) -> None:
        given: Any = {} if options is None else options
        if not isinstance(given, Mapping):
            allowed = "allowed are options: JobOptions(retry=3, max_runtime=timedelta(minutes=5))"
            raise InvalidArgumentError("defaults", options, allowed)
        check_options("job", given, CommonOptions.__annotations__)
        check_manager("around", around, "job")
        self._options = given
        self._around = around

    def applied_to(self, definition: AnyDefinition) -> AnyDefinition:
        """Return a definition as it is to be run; raises DefinitionError where that cannot work."""
        said = definition.given | (_SAME if definition.given & _SAME else frozenset())
        options = {name: value for name, value in self._options.items() if name not in said}
        if not options and self._around is None:
            return definition
        changed = copy.copy(definition)
        for name, value in options.items():
            object.__setattr__(changed, name, value)
        check_common(changed)
        if self._around is not None:
            if changed.batch is not None:
                from job_processor.handlers.batches import NO_AROUND  # noqa: PLC0415  # few have any

                raise DefinitionError("around", self._around, NO_AROUND)
            if changed.executor == "process":
                check_importable("around", self._around)
            object.__setattr__(changed, "arounds", (self._around, *changed.arounds))
            object.__setattr__(changed, "asking", (*asking(self._around), *changed.asking))
        return changed
