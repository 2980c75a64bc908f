"""What the decorator of a job returns: the handler, and typed ways to schedule it."""

from __future__ import annotations

import copy
import difflib
import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
)

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.groups import Group
from job_processor.handlers.labels import Labels
from job_processor.jobs.after import Parents
from job_processor.jobs.chunks import OnProgress, Requests
from job_processor.jobs.intake import schedule
from job_processor.jobs.request import JobRequest, When
from job_processor.models import OnConflict, OnParentFailure, SimpleJob, TypedJob
from job_processor.parts import ready_parts_of
from job_processor.settings import Duration

if TYPE_CHECKING:  # it is handed through
    from job_processor.handlers.fields import Fields

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
Payload: TypeAlias = Mapping[str, Any] | None
_ELSEWHERE = ("delay", "apply_async", "enqueue", "kiq", "defer", "send", "perform_async")
"""What other packages call it."""
_WHEN = {
    **dict.fromkeys(("countdown", "delay", "defer_by", "schedule_in"), "timedelta(seconds=…)"),
    **dict.fromkeys(("eta", "run_at", "run_after", "scheduled_at"), "datetime(…, tzinfo=UTC)"),
}
"""What other packages call the time of a job, and how it is written here."""


class PartOptions(TypedDict, total=False):
    """What is said of a job of a flow beside its payload."""

    scheduled_for: When
    priority: int
    expires_at: When
    unique_key: str | None
    on_conflict: OnConflict | None
    unique_for: Duration | None
    limit_key: str | float | None
    rate_key: str | float | None
    after: Parents
    on_parent_failure: OnParentFailure | None
    labels: Labels


class ScheduleOptions(PartOptions, total=False):
    """What is said of a job beside its payload; as `schedule_job` has it."""

    group: Group | None
    session: Any


class JobHandle(Generic[P, R_co]):
    """A decorated handler: call it as a function, or use it to store and run jobs.

    ```python
    @processor.job
    def add(x: int, y: int) -> int:
        return x + y

    add(1, 2)                              # 3: calls the function
    job = await add.schedule(1, 2)         # stores a job
    done = await add.wait(job, timeout=10)
    done.result()                          # 3
    ```

    Type parameters: `P`, the parameters of `schedule` (the fields of the payload), and `R_co`, the
    type of the result.
    """

    def __init__(
        self,
        name: str,
        handler: Callable[..., Any],
        processor: Callable[[], Any],
        fields: Fields | None = None,
    ) -> None:
        self.name = name
        self.handler = handler
        self._processor = processor
        self._fields = fields
        self._options: ScheduleOptions = {}
        functools.update_wrapper(self, handler, updated=())

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> R_co:
        """Call the function itself, without a job."""
        return self.handler(*arguments, **keywords)  # type: ignore[no-any-return]  # as it says

    def __repr__(self) -> str:
        return f"<job {self.name!r}: {self.handler!r}>"

    if not TYPE_CHECKING:  # a type checker knows the names there are

        def __getattr__(self, name: str) -> Any:
            """Say what is meant by the names of other packages."""
            if name in _ELSEWHERE:
                told = f"a job has no {name!r}; write {self.__dict__.get('name')}.schedule(…)"
                raise AttributeError(told)
            raise AttributeError(f"a job has no attribute {name!r}")

    def options(self, **options: Unpack[ScheduleOptions]) -> Self:
        """Return this handle with options: `await send.options(priority=3).schedule(to="ada")`.

        They are those of `schedule_job`: scheduled_for, priority, expires_at, unique_key,
        on_conflict, unique_for, limit_key, rate_key, after, on_parent_failure, labels, session; and
        `group`, to add the job to a group.

        Raises InvalidArgumentError for an unknown option.
        """
        for name in options:
            if name not in ScheduleOptions.__annotations__:
                raise InvalidArgumentError("options", name, _allowed(name))
        chosen = copy.copy(self)
        chosen._options = {**self._options, **options}  # noqa: SLF001  # a copy of this
        return chosen

    async def schedule(self, *arguments: P.args, **fields: P.kwargs) -> TypedJob[R_co]:
        """Store a job with these fields as its payload; returns it as `schedule_job` does.

        Raises InvalidPayloadError for a field that is missing, unknown or of a wrong type, and the
        other errors of `schedule_job`.
        """
        return await self._schedule(self._request(self._payload(arguments, fields)))

    async def run(self, *arguments: P.args, **fields: P.kwargs) -> TypedJob[R_co]:
        """Run a job with these fields in this process, as `run_job` does; return it at its end."""
        return await self._run(self._payload(arguments, fields))

    def schedule_sync(self, *arguments: P.args, **fields: P.kwargs) -> TypedJob[R_co]:
        """Store a job from synchronous code, such as a Flask or Django view, a thread or a script.

        It needs no `setup()`. Raises the errors of `schedule`; JobProcessorError if an event loop
        runs in this thread, because it would be blocked; InvalidArgumentError for a database that
        only one event loop can use.
        """
        return self._schedule_sync(self._payload(arguments, fields))

    def request(self, *arguments: P.args, **fields: P.kwargs) -> JobRequest:
        """Return a `JobRequest` with these fields, for `schedule_jobs`, groups and flows."""
        return self._request(self._payload(arguments, fields))

    async def schedule_many(
        self,
        payloads: Iterable[Any] | AsyncIterable[Any],
        *,
        on_progress: OnProgress | None = None,
        return_jobs: bool = True,
    ) -> list[TypedJob[R_co]]:
        """Store a job for each payload, 1,000 in one write, as `schedule_jobs` does.

        payloads: mappings of the fields, `{"to": "ada"}`, or payloads if the handler has a
            parameter `payload`; an iterable, plain or async.
        on_progress, return_jobs: as in `schedule_jobs`.
        """
        requests: Requests
        if isinstance(payloads, AsyncIterable):
            requests = self._requests_async(payloads)
        elif isinstance(payloads, Mapping | str | bytes) or not isinstance(payloads, Iterable):
            allowed = "allowed is an iterable of payloads: write [payload] for a single one"
            raise InvalidArgumentError("payloads", type(payloads), allowed)
        else:
            requests = self._requests(payloads)
        jobs: Any = await self._processor().schedule_jobs(
            requests,
            session=self._options.get("session"),
            on_progress=on_progress,
            return_jobs=return_jobs,
        )
        return jobs  # type: ignore[no-any-return]  # as their handler says

    async def wait(
        self, job: SimpleJob | ObjectId | str, timeout: Duration | None = None
    ) -> TypedJob[R_co]:
        """Wait until a job of this handle has ended, as `wait_for_job` does.

        job: the job or its id.
        timeout: seconds, or a timedelta; None: wait for ever.
        """
        job_id = job.id if isinstance(job, SimpleJob) else job
        settled = await self._processor().wait_for_job(job_id, timeout)
        if not isinstance(settled, SimpleJob) or settled.name != self.name:
            allowed = f"allowed is a job {self.name!r}; this is a {settled.name!r}"
            raise InvalidArgumentError("job", job_id, allowed)
        return settled  # type: ignore[return-value]  # as its handler says

    def _payload(self, arguments: tuple[Any, ...], fields: dict[str, Any]) -> Any:
        """Return the payload of a call; raises InvalidPayloadError."""
        return fields if self._fields is None else self._fields.bind(arguments, fields)

    async def _schedule(self, request: JobRequest, session: Any = None) -> TypedJob[R_co]:
        session = session or self._options.get("session")
        job: Any = await schedule(ready_parts_of(self._processor()), request, session)
        return job  # type: ignore[no-any-return]  # as its handler says

    def _schedule_sync(self, payload: Any) -> TypedJob[R_co]:
        if self._options.get("session") is not None:
            allowed = "allowed is none from synchronous code: a transaction is of its event loop"
            raise InvalidArgumentError("session", self._options["session"], allowed)
        job: Any = self._processor().schedule_sync(self._request(payload))
        return job  # type: ignore[no-any-return]  # as its handler says

    async def _run(self, payload: Any) -> TypedJob[R_co]:
        if self._options:
            allowed = "allowed are none: it runs now, in this process"
            raise InvalidArgumentError("options", tuple(self._options), allowed)
        job: Any = await self._processor().run_job(self.name, payload)
        return job  # type: ignore[no-any-return]  # as its handler says

    def request_of(self, payload: Any) -> JobRequest:
        """Return a `JobRequest` with a complete payload and the options of this handle."""
        if self._options.get("session") is not None:
            allowed = "allowed is none here: what is stored later is of no transaction"
            raise InvalidArgumentError("session", self._options["session"], allowed)
        return self._request(payload)

    def _request(self, payload: Any) -> JobRequest:
        request = JobRequest(self.name, payload)
        return self._with_options(request) if self._options else request

    def _with_options(self, request: JobRequest) -> JobRequest:
        """Return a request with the options of this handle where it has none of its own."""
        plain = JobRequest(self.name)
        given: dict[str, Any] = {
            name: value
            for name, value in self._options.items()
            if name != "session" and getattr(request, name) == getattr(plain, name)
        }
        return replace(request, **given)

    def _requests(self, payloads: Iterable[Any]) -> Iterator[JobRequest]:
        return (self._request(payload) for payload in payloads)

    async def _requests_async(self, payloads: AsyncIterable[Any]) -> AsyncIterator[JobRequest]:
        async for payload in payloads:
            yield self._request(payload)


class GivenHandle(JobHandle[P, R_co]):
    """That of a handler that also gets the job, its signal or its context."""

    if TYPE_CHECKING:

        def __call__(self, *arguments: Any, **keywords: Any) -> R_co:
            """Call the function itself, without a job."""


class PayloadHandle(JobHandle[..., R_co], Generic[T, R_co]):
    """That of a handler that takes its payload whole.

    T: the class of the payload. R_co: what a call of the handler returns.
    """

    async def schedule(
        self,
        payload: T,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: Duration | None = None,
        limit_key: str | float | None = None,
        rate_key: str | float | None = None,
        after: Parents = None,
        on_parent_failure: OnParentFailure | None = None,
        labels: Labels = None,
        session: Any = None,
    ) -> TypedJob[R_co]:
        """Do as `schedule_job` does, with a payload of the class that the handler names."""
        whole: Any = payload
        request = JobRequest(
            self.name,
            whole,
            scheduled_for,
            priority,
            expires_at,
            unique_key,
            on_conflict,
            unique_for,
            limit_key,
            rate_key,
            after,
            on_parent_failure,
            labels=labels,
        )
        if self._options:
            request = self._with_options(request)
        return await self._schedule(request, session)

    async def run(self, payload: T) -> TypedJob[R_co]:
        """Do as `run_job` does, with a payload of the class that the handler names."""
        return await self._run(payload)

    def schedule_sync(self, payload: T) -> TypedJob[R_co]:
        """Store a job from synchronous code, see `JobHandle.schedule_sync`."""
        return self._schedule_sync(payload)

    def request(self, payload: T) -> JobRequest:
        """Return the job for `schedule_jobs`, among others of any name."""
        return self._request(payload)


class PlainJobHandle(PayloadHandle[Payload, R_co], Generic[R_co]):
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
        unique_for: Duration | None = None,
        limit_key: str | float | None = None,
        rate_key: str | float | None = None,
        after: Parents = None,
        on_parent_failure: OnParentFailure | None = None,
        labels: Labels = None,
        session: Any = None,
    ) -> TypedJob[R_co]:
        """Do as `schedule_job` does."""
        return await super().schedule(
            payload,
            scheduled_for,
            priority,
            expires_at,
            unique_key=unique_key,
            on_conflict=on_conflict,
            unique_for=unique_for,
            limit_key=limit_key,
            rate_key=rate_key,
            after=after,
            on_parent_failure=on_parent_failure,
            labels=labels,
            session=session,
        )

    async def run(self, payload: Payload = None) -> TypedJob[R_co]:
        """Do as `run_job` does."""
        return await super().run(payload)

    def schedule_sync(self, payload: Payload = None) -> TypedJob[R_co]:
        """Store a job from synchronous code, see `JobHandle.schedule_sync`."""
        return super().schedule_sync(payload)

    def request(self, payload: Payload = None) -> JobRequest:
        """Return the job for `schedule_jobs`, among others of any name."""
        return super().request(payload)


def _allowed(name: str) -> str:
    known = list(ScheduleOptions.__annotations__)
    if name in _WHEN:
        return f"write scheduled_for={_WHEN[name]}; allowed are {', '.join(known)}"
    near = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}allowed are {', '.join(known)}"
