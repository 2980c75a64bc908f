"""A client for plain synchronous code: threads, web servers that fork, scripts.

The asynchronous processor works in an event loop in a thread of its own, one for each process: a
process that was forked makes a new one with its first call, and leaves the parent's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from bson import ObjectId

from job_processor.crons.schedules import ScheduleFields, SchedulePage
from job_processor.errors import InvalidArgumentError
from job_processor.handlers.flows import FlowInfo, FlowSummary
from job_processor.handlers.groups import Group, GroupCounts, GroupInfo
from job_processor.handlers.labels import Labels
from job_processor.handlers.limits import Limit
from job_processor.handlers.rates import Rate
from job_processor.jobs.actions import Acted
from job_processor.jobs.after import Parents
from job_processor.jobs.chunks import Request
from job_processor.jobs.client_flow import ClientFlow
from job_processor.jobs.intake import schedule
from job_processor.jobs.limits import LimitInfo
from job_processor.jobs.portal import Portal
from job_processor.jobs.rates import RateInfo
from job_processor.jobs.request import JobRequest, Payload, When
from job_processor.models import Job, JobStatus, OnConflict, OnParentFailure, SimpleJob
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import GROUPS_SHOWN, LANES_SHOWN, MESSAGE_TTL, Duration
from job_processor.store.schedules import Schedule

if TYPE_CHECKING:  # they are handed through
    from job_processor.jobs.flows import Flow
    from job_processor.jobs.groups import Called, OpenGroup
    from job_processor.jobs.handle import JobHandle

__all__ = ["ClientFlow", "ClientGroup", "JobClient"]

T = TypeVar("T")


class JobClient:
    """Stores and follows jobs from synchronous code; safe in threads and after a fork.

    db: the application's JobProcessor, whose database, definitions and integrations are used with
        separate connections; or an address or None, as for a JobProcessor.
    options: with an address, the other options of JobProcessor, such as `jobs`.

    ```python
    client = JobClient(processor)
    job = client.schedule_job("send", {"to": "ada"})
    client.wait_for_job(job.id, timeout=10)
    ```

    It connects with the first call. Each method raises the errors of the method of `JobProcessor`
    with the same name.

    Raises InvalidArgumentError for a database that only one event loop or process can use: an
    `AsyncDatabase`, or one in memory.
    """

    def __init__(self, db: JobProcessor | str | None = None, **options: Any) -> None:
        if isinstance(db, JobProcessor):
            if options:
                raise InvalidArgumentError(
                    "options", options, "allowed with a JobProcessor is none"
                )
            self._processor = db
        else:
            self._processor = JobProcessor(db, **options)
        self._processor.twin()  # raises for a database that cannot be shared
        self._portal = Portal(self._processor)

    def schedule_job(
        self,
        name: str,
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
    ) -> SimpleJob:
        """Store a job, as `JobProcessor.schedule_job` does, and return it."""
        request = JobRequest(
            name,
            payload,
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
        return self._call(lambda processor: schedule(ready_parts_of(processor), request))

    def schedule_jobs(
        self, jobs: Iterable[Request], *, return_jobs: bool = True
    ) -> list[SimpleJob]:
        """Store many jobs, 1,000 in one write, as `JobProcessor.schedule_jobs` does."""
        return self._call(lambda processor: processor.schedule_jobs(jobs, return_jobs=return_jobs))

    def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task; None for an unknown id."""
        return self._call(lambda processor: processor.get_job(job_id))

    def kill_job(self, job_id: ObjectId | str) -> Job:
        """Cancel a job, as `JobProcessor.kill_job` does, and return it.

        Raises JobNotFoundError.
        """
        return self._call(lambda processor: processor.kill_job(job_id))

    def wait_for_job(self, job_id: ObjectId | str, timeout: Duration | None = None) -> Job:
        """Block until a job has ended, and return it; other threads continue meanwhile.

        timeout: seconds, or a timedelta; None: wait for ever.

        Raises JobNotFoundError, and JobTimeoutError after `timeout`.
        """
        return self._call(lambda processor: processor.wait_for_job(job_id, timeout))

    def set_limit(self, name: str, limit: Limit | int | None) -> None:
        """Change a concurrency limit for all workers, as `JobProcessor.set_limit` does."""
        self._call(lambda processor: processor.set_limit(name, limit))

    def limits(self, lanes: int = LANES_SHOWN) -> list[LimitInfo]:
        """Return the concurrency limits and their fullest lanes, as `JobProcessor.limits` does."""
        return self._call(lambda processor: processor.limits(lanes))

    def set_rate(self, name: str, rate: Rate | str | None) -> None:
        """Change a rate limit for all workers, as `JobProcessor.set_rate` does."""
        self._call(lambda processor: processor.set_rate(name, rate))

    def rates(self) -> list[RateInfo]:
        """Return the rate limits, as `JobProcessor.rates` does."""
        return self._call(lambda processor: processor.rates())

    def hold(self, name: str, seconds: Duration, key: str | float | None = None) -> None:
        """Start no job of a rate limit for some seconds, as `JobProcessor.hold` does."""
        self._call(lambda processor: processor.hold(name, seconds, key))

    def put_schedule(self, name: str, **schedule: Unpack[ScheduleFields]) -> Schedule:
        """Create or change a schedule, as `JobProcessor.put_schedule` does."""
        return self._call(lambda processor: processor.put_schedule(name, **schedule))

    def remove_schedule(self, name: str) -> bool:
        """Remove a schedule, as `JobProcessor.remove_schedule` does."""
        return self._call(lambda processor: processor.remove_schedule(name))

    def get_schedule(self, name: str) -> Schedule | None:
        """Return a schedule; None if there is none with this name."""
        return self._call(lambda processor: processor.get_schedule(name))

    def schedules(
        self, limit: int = 50, after: str | None = None, *, job: str | None = None
    ) -> SchedulePage:
        """Return a page of schedules, as `JobProcessor.schedules` does."""
        return self._call(lambda processor: processor.schedules(limit, after, job=job))

    def pause_schedule(self, name: str) -> Schedule:
        """Pause a schedule, as `JobProcessor.pause_schedule` does."""
        return self._call(lambda processor: processor.pause_schedule(name))

    def resume_schedule(self, name: str) -> Schedule:
        """Resume a schedule, as `JobProcessor.resume_schedule` does."""
        return self._call(lambda processor: processor.resume_schedule(name))

    def send(self, topic: str, payload: Any = True, *, ttl: Duration = MESSAGE_TTL) -> bool:
        """Send a message to all jobs that wait for its topic, as `JobProcessor.send` does."""
        return self._call(lambda processor: processor.send(topic, payload, ttl=ttl))

    @contextmanager
    def group(
        self, *, then: Called | None = None, catch: Called | None = None
    ) -> Iterator[ClientGroup]:
        """Open a group of jobs, as `JobProcessor.group` does: `with client.group() as group`."""

        async def opened(processor: JobProcessor) -> tuple[OpenGroup, Group]:
            block = processor.group(then=then, catch=catch)
            return block, await block.__aenter__()

        block, group = self._call(opened)
        try:
            yield ClientGroup(group, self._portal)
        except BaseException as error:
            raised = type(error), error, error.__traceback__
            self._call(lambda _: block.__aexit__(*raised))
            raise
        self._call(lambda _: block.__aexit__(None, None, None))

    def schedule_group(
        self,
        name: str | JobHandle[..., Any],
        payloads: Iterable[Any],
        *,
        then: Called | None = None,
        catch: Called | None = None,
    ) -> ClientGroup:
        """Store a group with a member for each payload, as `JobProcessor.schedule_group` does."""
        group = self._call(lambda it: it.schedule_group(name, payloads, then=then, catch=catch))
        return ClientGroup(group, self._portal)

    def get_group(self, group_id: ObjectId | str) -> ClientGroup | None:
        """Return a group; None for an unknown id."""
        group = self._call(lambda processor: processor.get_group(group_id))
        return None if group is None else ClientGroup(group, self._portal)

    def flow(self, name: str = "flow") -> ClientFlow:
        """Return an empty flow, as `JobProcessor.flow` does: `flow.add(…)`, then `flow.start()`."""
        return self._flow(lambda processor: processor.flow(name))

    def chain(
        self,
        *jobs: Request | JobHandle[..., Any],
        name: str = "chain",
        on_parent_failure: OnParentFailure | None = None,
    ) -> ClientFlow:
        """Return a flow of jobs that run one after the other, as `JobProcessor.chain` does."""
        rule = on_parent_failure
        return self._flow(lambda it: it.chain(*jobs, name=name, on_parent_failure=rule))

    def get_flow(self, flow_id: ObjectId | str) -> FlowInfo | None:
        """Return a flow; None for an unknown id."""
        return self._call(lambda processor: processor.get_flow(flow_id))

    def find_flows(
        self, limit: int = GROUPS_SHOWN, after: ObjectId | str | None = None
    ) -> list[FlowSummary]:
        """Return flows, newest first, as `JobProcessor.find_flows` does."""
        return self._call(lambda processor: processor.find_flows(limit, after))

    def kill_flow(self, flow_id: ObjectId | str) -> Acted:
        """Cancel a flow, as `JobProcessor.kill_flow` does."""
        return self._call(lambda processor: processor.kill_flow(flow_id))

    def retry_flow(self, flow_id: ObjectId | str) -> Acted:
        """Retry the jobs of a flow that failed, as `JobProcessor.retry_flow` does."""
        return self._call(lambda processor: processor.retry_flow(flow_id))

    def close(self) -> None:
        """Close the connections of this process; a later call opens new ones."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flow(self, make: Callable[[JobProcessor], Flow]) -> ClientFlow:
        async def made(processor: JobProcessor) -> Flow:
            return make(processor)

        return ClientFlow(self._call(made), self._portal)

    def _call(self, call: Callable[[JobProcessor], Coroutine[Any, Any, T]]) -> T:
        return self._portal.call(call)


class ClientGroup:
    """A group for synchronous code: the methods of `Group`, without `await`."""

    def __init__(self, group: Group, portal: Portal) -> None:
        self.id = group.id
        self._group = group
        self._portal = portal

    def __repr__(self) -> str:
        return repr(self._group)

    def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Store a job as a member, as `Group.add` does."""
        return self._call(self._group.add, job, payload, **options)

    def add_many(self, jobs: Iterable[Any]) -> None:
        """Store many jobs as members, as `Group.add_many` does."""
        self._call(self._group.add_many, jobs)

    def wait(self, timeout: Duration | None = None) -> GroupInfo:
        """Block until all members have ended; returns the group's state. Other threads continue."""
        return self._call(self._group.wait, timeout)

    def info(self) -> GroupInfo:
        """Return the state of the group."""
        return self._call(self._group.info)

    def counts(self) -> GroupCounts:
        """Return the number of members in each state."""
        return self._call(self._group.counts)

    def results(self) -> Iterator[Any]:
        """Yield the results of the members that have finished, in order."""
        return (job.result() for job in self.jobs(JobStatus.FINISHED))

    def jobs(self, status: JobStatus | str | None = None) -> Iterator[SimpleJob]:
        """Yield the members in order, read page by page.

        status: only members in this state; None: all.
        """
        after: ObjectId | None = None
        while page := self._call(self._group.page, after, status):
            yield from page
            after = page[-1].id

    def kill(self) -> int:
        """Kill all members, as `Group.kill` does; return how many."""
        return self._call(self._group.kill)

    def retry(self) -> int:
        """Retry the members that did not finish; returns how many."""
        return self._call(self._group.retry)

    def _call(
        self, verb: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, **named: Any
    ) -> T:
        return self._portal.call(lambda _: verb(*arguments, **named))


def portal_of(client: JobClient) -> Portal:
    """Return by what a client calls its processor: for integrations, which ask for more."""
    return client._portal  # noqa: SLF001  # the one door for those who are no users of it
