"""What the decorator of a job returns: the handler, and a typed way to schedule it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.definitions import JobDef
from job_processor.jobs.intake import schedule
from job_processor.jobs.request import JobRequest, When
from job_processor.models import OnConflict, SimpleJob
from job_processor.parts import ready_parts_of

P = TypeVar("P", contravariant=True)  # noqa: PLC0105  # that of a payload
Payload: TypeAlias = Mapping[str, Any] | None


class JobHandle(Generic[P]):
    """A job by its handler: call it as the function that it is, or schedule it."""

    def __init__(self, name: str, handler: Callable[..., Any], processor: Any) -> None:
        self.name = name
        self.handler = handler
        self._processor = processor
        functools.update_wrapper(self, handler, updated=())

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the handler itself, here and now, without any job."""
        return self.handler(*arguments, **keywords)

    def __repr__(self) -> str:
        return f"<job {self.name!r}: {self.handler!r}>"

    async def schedule(
        self,
        payload: P,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: float | None = None,
        session: Any = None,
    ) -> SimpleJob:
        """Do as `schedule_job` does, with a payload of the class that the handler names."""
        request = JobRequest(
            self.name,
            payload,  # type: ignore[arg-type]  # P is no bound of a Payload for type checkers
            scheduled_for,
            priority,
            expires_at,
            unique_key,
            on_conflict,
            unique_for,
        )
        return await schedule(ready_parts_of(self._processor), request, session)

    async def run(self, payload: P) -> SimpleJob:
        """Do as `run_job` does, with a payload of the class that the handler names."""
        job: SimpleJob = await self._processor.run_job(self.name, payload)
        return job


class PlainJobHandle(JobHandle[Payload]):
    """That of a handler whose payload has no class: any mapping, or none."""

    async def schedule(
        self,
        payload: Payload = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: float | None = None,
        session: Any = None,
    ) -> SimpleJob:
        """Do as `schedule_job` does."""
        request = JobRequest(
            self.name,
            payload,
            scheduled_for,
            priority,
            expires_at,
            unique_key,
            on_conflict,
            unique_for,
        )
        return await schedule(ready_parts_of(self._processor), request, session)

    async def run(self, payload: Payload = None) -> SimpleJob:
        """Do as `run_job` does."""
        return await super().run(payload)


class _Payload(Protocol[P]):
    def __call__(self, *, payload: P) -> Any: ...


class _PayloadSignal(Protocol[P]):
    def __call__(self, *, payload: P, signal: Any) -> Any: ...


class _PayloadContext(Protocol[P]):
    def __call__(self, *, payload: P, context: Any) -> Any: ...


class _PayloadJob(Protocol[P]):
    def __call__(self, *, payload: P, job: Any) -> Any: ...


class _PayloadSignalContext(Protocol[P]):
    def __call__(self, *, payload: P, signal: Any, context: Any) -> Any: ...


class _PayloadJobSignal(Protocol[P]):
    def __call__(self, *, payload: P, job: Any, signal: Any) -> Any: ...


class _PayloadJobContext(Protocol[P]):
    def __call__(self, *, payload: P, job: Any, context: Any) -> Any: ...


class _PayloadJobSignalContext(Protocol[P]):
    def __call__(self, *, payload: P, job: Any, signal: Any, context: Any) -> Any: ...


class Define(Protocol):
    """The decorator: from a handler to its handle, by the class of its parameter `payload`."""

    @overload
    def __call__(self, handler: _Payload[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadSignal[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadContext[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadJob[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadSignalContext[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadJobSignal[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadJobContext[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: _PayloadJobSignalContext[P]) -> JobHandle[P]: ...
    @overload
    def __call__(self, handler: Callable[..., Awaitable[object] | object]) -> PlainJobHandle: ...
    def __call__(self, handler: Any) -> Any:
        """Define the job."""


def job_decorator(
    processor: Any, add: Callable[[str, JobDef], object], name: str | None, options: dict[str, Any]
) -> Define:
    """Return what defines a job of a processor by decorating its handler.

    add: takes the definition in under its name.
    """

    def define(handler: Any) -> JobHandle[Any]:
        function = handler.handler if isinstance(handler, JobHandle) else handler
        definition, called = JobDef(function, **options), name_of(name, handler)
        add(called, definition)
        plain = definition.bound.payload_type is None
        return (PlainJobHandle if plain else JobHandle)(called, function, processor)

    typed: Any = define
    return typed  # type: ignore[no-any-return]  # its overloads say what it returns


def name_of(name: str | None, handler: Callable[..., Any]) -> str:
    """Return the name of a definition: as given, or the handler's own."""
    if callable(name):
        raise InvalidArgumentError("name", name, "write @processor.job() with parentheses")
    return name if name is not None else getattr(handler, "__name__", type(handler).__name__)
