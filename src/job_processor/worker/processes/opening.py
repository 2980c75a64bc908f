"""How the process of a handler opens its own resources: by the lifespan of its worker's processor.

Where a test or a host application gave them, they travel by value.
"""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from job_processor.errors import DefinitionError, InvalidArgumentError, LifespanError, Unshown
from job_processor.handlers.definitions import Definition, check_importable
from job_processor.handlers.resources import GivenResources, Lifespan
from job_processor.settings import Settings
from job_processor.worker.resources import Resources
from job_processor.worker.stopping import Budget


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens them, in values that any process can read."""

    lifespan: tuple[str, str] | bytes
    """Its place; or what was given, pickled."""
    processor: Callable[[], object] | None
    """Makes what the lifespan gets."""
    settings: Settings
    """Of the worker: how long the lifespan has to end, for which the result waits."""

    @property
    def modules(self) -> tuple[str, ...]:
        """What a process imports for it."""
        return () if isinstance(self.lifespan, bytes) else self.lifespan[:1]

    @asynccontextmanager
    async def entered(self, find: Callable[[str, str], Any]) -> AsyncIterator[Any]:
        """Let a handler run between entering and leaving it; raises what it raises at its start.

        find: returns a function by its place. How the handler ends is not the lifespan's affair.
        """
        processor = None if self.processor is None else self.processor()
        logger = logging.getLogger("job_processor")
        resources = Resources(self._lifespan(find), processor, self.settings, logger)
        try:
            try:
                value = await resources.hold()
            except LifespanError as error:  # the attempt fails by what it raised, which is retried
                raise error.__cause__ or error from None
            yield value
        finally:
            await resources.release(Budget.forced(self.settings).for_lifespan)

    def _lifespan(self, find: Callable[[str, str], Any]) -> Lifespan:
        if isinstance(self.lifespan, bytes):
            return GivenResources(pickle.loads(self.lifespan))  # noqa: S301  # of our worker
        lifespan: Lifespan = find(*self.lifespan)
        return lifespan


def opening_of(resources: Resources, definition: Definition) -> Opening | None:
    """Return what a run in a process opens; None where nothing there can ask for resources.

    What has a context may ask it; where that is all, and they cannot be had in another process, it
    is told so once it does. Raises InvalidArgumentError where what was given cannot be pickled.
    """
    lifespan = resources.lifespan
    must = definition.bound.wants_resources or any(
        each in definition.asking for each in definition.arounds
    )
    if lifespan is None or not (must or definition.bound.wants_context):
        return None
    try:
        return Opening(_portable(lifespan), resources.elsewhere, resources.settings)
    except InvalidArgumentError:
        if must:
            raise
        return None


def _place(lifespan: Any) -> tuple[str, str]:
    """Return where another process finds a lifespan; raises DefinitionError unless it is there."""
    module, name = lifespan.__module__, lifespan.__qualname__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not lifespan:
        allowed = f"its process would find another object at {module}:{name}: keep its own name"
        raise DefinitionError("lifespan", lifespan, allowed)
    return module, name


def _portable(lifespan: Any) -> tuple[str, str] | bytes:
    if not isinstance(lifespan, GivenResources):
        check_importable("lifespan", lifespan)
        return _place(lifespan)
    try:
        return pickle.dumps(lifespan.value)
    except Exception as error:
        allowed = f"a handler with executor='process' gets them pickled, which fails: {error}"
        raise InvalidArgumentError("resources", Unshown.of(lifespan.value), allowed) from error
