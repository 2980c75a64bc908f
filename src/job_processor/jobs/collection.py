"""Jobs and crons of one module, defined before there is a processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, Unpack
from weakref import WeakKeyDictionary, WeakMethod

from job_processor.errors import DefinitionError, InvalidArgumentError, NotSetUpError
from job_processor.handlers.definitions import CronOptions, Definition, JobDef
from job_processor.jobs.decorator import Decorator, decorated_cron
from job_processor.parts import HasParts, ready_parts_of
from job_processor.settings import check_name

F = TypeVar("F", bound=Callable[..., Any])
Define: TypeAlias = Callable[[str, Definition], object]


class Jobs:
    """Job and cron definitions of one module, for applications with several modules.

    ```python
    # mail.py
    jobs = Jobs(prefix="mail.")

    @jobs.job
    async def send(to: str) -> None: ...

    # app.py
    processor = JobProcessor(jobs=[mail.jobs, images.jobs])
    ```

    So no module has to import the one that creates the processor. The handles, such as `mail.send`,
    can store jobs once the processor exists.

    prefix: is put before each name, such as `"mail."`.

    Raises InvalidArgumentError.
    """

    def __init__(self, prefix: str = "") -> None:
        if prefix != "":
            check_name("prefix", prefix)
        self.prefix = prefix
        self.definitions: dict[str, Definition] = {}
        """By name, the prefix included."""
        self._processors: WeakKeyDictionary[HasParts, WeakMethod[Define]] = WeakKeyDictionary()

    @property
    def job(self) -> Decorator:
        """Define a job by decorating its handler, as `JobProcessor.job` does."""
        return Decorator(self._define, self._processor, self.prefix)

    def cron(
        self,
        cron_string: str | None = None,
        name: str | None = None,
        **options: Unpack[CronOptions],
    ) -> Callable[[F], F]:
        """Define a cron by decorating its handler, as `JobProcessor.cron` does."""
        return decorated_cron(self._define, cron_string, name, options, self.prefix)

    def attach(self, processor: HasParts, define: Define) -> None:
        """Add all definitions to a processor, and later ones too; `JobProcessor` calls this.

        processor: the processor.
        define: its method that takes a name and a definition.
        """
        for name, definition in self.definitions.items():
            define(name, definition)
        self._processors[processor] = WeakMethod(define)

    def _define(self, name: str, definition: Definition) -> None:
        if name in self.definitions:
            raise DefinitionError("name", name, "allowed is a name that no job or cron has yet")
        for reference in self._processors.values():
            if (define := reference()) is not None:
                define(name, definition)
        self.definitions[name] = definition

    def _processor(self) -> Any:
        """Return the processor of these jobs; of several the one that is set up here."""
        all_of_them = list(self._processors)
        if not all_of_them:
            raise NotSetUpError(
                "these jobs belong to no processor yet; write JobProcessor(…, jobs=[…]) with their "
                "collection, and import the module that does before anything is scheduled"
            )
        found = all_of_them if len(all_of_them) == 1 else [*filter(_is_ready, all_of_them)]
        if len(found) != 1:
            raise NotSetUpError(
                f"these jobs belong to {len(all_of_them)} processors, {len(found)} of which are "
                "set up here; write await processor.schedule_job(name, …), which says whose it is"
            )
        return found[0]


Some: TypeAlias = Mapping[str, JobDef] | Jobs
Given: TypeAlias = Some | Iterable[Some] | None
"""What a processor takes as its jobs."""


def parted(jobs: Given) -> tuple[list[Jobs], dict[str, JobDef]]:
    """Return the collections, and all other definitions by name; raises InvalidArgumentError."""
    allowed = "allowed are a mapping of names to definitions, a Jobs(), and a list of these"
    if jobs is None:
        return [], {}
    several: Any = [jobs] if isinstance(jobs, Mapping | Jobs) else jobs
    if isinstance(several, str | bytes) or not isinstance(several, Iterable):
        raise InvalidArgumentError("jobs", jobs, allowed)
    collections: list[Jobs] = []
    definitions: dict[str, JobDef] = {}
    for each in several:
        if isinstance(each, Jobs):
            collections.append(each)
        elif isinstance(each, Mapping):
            twice = next((name for name in each if name in definitions), None)
            if twice is not None:
                raise DefinitionError("name", twice, "allowed is a name that no job has yet")
            definitions.update(each)
        else:
            raise InvalidArgumentError("jobs", each, allowed)
    return collections, definitions


def _is_ready(processor: HasParts) -> bool:
    try:
        ready_parts_of(processor)
    except NotSetUpError:
        return False
    return True
