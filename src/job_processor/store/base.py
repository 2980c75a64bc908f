"""What a database does for us: fifteen desks, one for each noun, the same on every store.

Each verb says from which states to which it goes and what it returns when it lost. No verb reads a
status and then writes it: the guard is part of the write. Every verb raises StoreRefusedError when
the database can never store what it was given (nothing of that happened), StoreUnavailableError
when it did not answer, and StoreError for whatever else it says: after both it may or may not have
happened, and each verb says why a repetition is harmless.

What is the same on every database is written here, once: that there is nothing to do, and who is to
be told of what was done. What differs is the abstract part: the verb itself or, where it has such a
frame, the function of its name with an underscore in front.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import StoreError
from job_processor.handlers.lanes import has_key
from job_processor.models import (
    SETTLED,
    Cron,
    Job,
    JobStatus,
    JobType,
    Message,
    Notes,
    Registrations,
    RelatedJob,
    SimpleJob,
    Step,
    Vitals,
    WorkerInfo,
    occurrence_id,
)
from job_processor.redaction import Redaction
from job_processor.store.gathering import Gathering
from job_processor.store.groups import GroupRecord
from job_processor.store.hints import NOTHING, EndListener, Hint, HintListener, Tell, told
from job_processor.store.lanes import Bounds, LaneClaim, LaneInfo, LimitBook, Taken, freed_by
from job_processor.store.messages import Wait
from job_processor.store.rates import KEYLESS_RATE, LaneState, Pace, Reservation
from job_processor.store.requests import (
    Claim,
    JobQuery,
    NameCount,
    Outcome,
    Settlement,
    Verdict,
)
from job_processor.store.rollups import Rollup
from job_processor.store.schedules import Schedule
from job_processor.store.summaries import JobSummary
from job_processor.store.tokens import FOLLOWERS, RateBook
from job_processor.store.waits import (
    RELEASE_PASSES,
    RELEASED_AT_ONCE,
    End,
    Node,
    Released,
    end_of,
    ends_of,
)

if TYPE_CHECKING:
    from job_processor.store.node import NodeSide

_logger = logging.getLogger("job_processor")

Setting: TypeAlias = Mapping[str, Any]
"""A document of the settings: plain values, without its key."""


class State(NamedTuple):
    """Where a job stands."""

    status: JobStatus
    attempt: int


class Gone(NamedTuple):
    """Who may wait for a job that was deleted."""

    followed: bool
    """True where another job may come after it."""
    open_in: ObjectId | None
    """The group that waited for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What differs between databases, for those who have to act by it."""

    needs_heartbeat: bool = True
    """False where every worker lives in this process."""
    hints_of_others: bool = True
    """False where changes of other processes are found by polling only."""
    hints_are_prompt: bool = True
    """False where they come late or not at all: whoever had work a moment ago asks for more."""
    history_days: float = inf
    """After how many days the database itself removes settled jobs."""
    claims_one_sooner: bool = False
    """True where a claim of one job takes fewer round trips than a claim of several."""


_WOKEN_AT_ONCE = 1000
"""Jobs of one write that have waited for one message."""

Level: TypeAlias = Literal["ok", "warning", "error"]


class Remark(NamedTuple):
    """One thing that a database says of itself."""

    subject: str
    """What it is: `connection`, `indexes`."""
    level: Level
    text: str
    """What is there."""
    advice: str = ""
    """What to do, in one line; empty where it is well."""


@dataclass(frozen=True, slots=True)
class Description:
    """How a database stands."""

    remarks: tuple[Remark, ...]
    is_there: bool = True
    """False where there is nothing to be asked of it: it was not made yet, or nobody shares it."""
    has_own_clock: bool = True
    """False where its clock is that of this machine."""


class Pulse(ABC):
    """The heartbeat's own connection, used from the heartbeat's own thread."""

    @abstractmethod
    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Do what `Workers.beat` does, through this connection."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


class Desk:
    """The verbs of one noun.

    tell: called with each hint of what was written here and, where jobs were settled, with their
        ids.
    """

    lanes: Lanes | None = None
    """Where a slot is handed over that something done here has freed."""
    waits: Waits | None = None
    """Where those are released who waited for what has ended here."""
    tokens: Tokens | None = None
    """Where another one of a rate's lane is let follow, where one has left it here."""
    groups: Groups | None = None
    """Where a group is looked at of which something done here has ended a member."""

    messages: Messages | None = None
    """Where it is looked for what a job waits for that was left here."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    async def _pass_on(self, freed: Iterable[str | None]) -> None:
        """Hand over what is free in these lanes; None stands for no lane."""
        if self.lanes is not None and (lanes := {lane for lane in freed if lane is not None}):
            await self.lanes.hand_over(lanes)

    async def _let_go(self, ends: Sequence[End]) -> None:
        """Release whoever waited for what has ended here."""
        if self.waits is not None and ends:
            await self.waits.release(ends)

    async def _let_follow(self, left: Iterable[str | None]) -> None:
        """Let others follow in these lanes of rates; None stands for no lane."""
        if self.tokens is not None and (lanes := {lane for lane in left if lane is not None}):
            await self.tokens.admit(lanes)

    async def _left(self, groups: Iterable[ObjectId | None]) -> None:
        """Look whether these groups have ended; None stands for no group."""
        if self.groups is not None and (left := {each for each in groups if each is not None}):
            await self.groups.look(left)

    async def _holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot; none where nobody has."""
        if self.lanes is None or not self.lanes.book or not job_ids:
            return {}
        return await self.lanes.holding(job_ids)


class Intake(Desk, ABC):
    """Jobs that come in."""

    _writes_at_once: ClassVar[int] = 1
    """Writes of gathered jobs that may be under way at a time."""
    _early: ClassVar[Hint] = NOTHING
    """What is told as soon as `_insert` was called, before it has answered: for a store that then
    has the insert in its queue already, in front of the claims that follow."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._gathering = Gathering(self._writes_at_once)

    def keep(self, job: SimpleJob) -> SimpleJob:
        """Return a new job with what this database keeps of it: by default the job itself.

        Raises SharedDatabaseError for one that it cannot keep.
        """
        return job

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Absent → as given, in one bulk write; return those refused.

        Refused is an exclusive job while another of its type and name is pending, running or
        paused, and one whose unique key another of its name holds (unique indexes decide). A job
        whose id is there already counts as inserted: it was our own first attempt, or another
        scheduler's same occurrence.
        """
        if not jobs:
            return []
        written = self._insert(jobs)
        hint, ended = told((job.id, job.status) for job in jobs)
        self._tell(hint & self._early, None)
        refused = await written
        if len(refused) < len(jobs):
            self._tell(hint & ~self._early, ended)
        return refused

    @abstractmethod
    def _insert(self, jobs: Sequence[Job]) -> Awaitable[list[Job]]: ...

    async def put(self, job: Job) -> bool:
        """Absent → as given, in one write with what others put at the same time; False: refused.

        It means the same as `insert` of this job alone, whatever becomes of the others.
        """
        return await self._gathering.put(self, job)

    def insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:
        """Absent → as given, before this returns; None where that may take a while."""
        refused = self._insert_here(jobs)
        if refused is not None and len(refused) < len(jobs):
            if len(jobs) == 1 and jobs[0].status is JobStatus.PENDING:  # most jobs
                self._tell(Hint.WORK, None)
            else:
                self._tell(*told((job.id, job.status) for job in jobs))
        return refused

    def _insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:  # noqa: ARG002  # see there
        """Return those refused, None where nothing was done: by default it always takes a while."""
        return None

    @abstractmethod
    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Absent → as given, as a part of the caller's transaction.

        Raises InvalidArgumentError when `session` is none of this database, and JobConflictError
        where `insert` would refuse one. Errors of the caller's driver are not translated: it may
        have to repeat the transaction.
        """

    @abstractmethod
    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""

    @abstractmethod
    async def release_key(self, holder: SimpleJob) -> None:
        """Holding its unique key in the very state that was read → without it, else unchanged."""

    async def replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        """Pending and holding its unique key → `job` under its id, as if it had never run.

        See `replaced_by`; its saved state goes, too. Returns it as it then stands; None when it
        waits no more, or was changed since it was read.
        """
        replaced = await self._replace(holder, job)
        if replaced is not None:
            self._tell(Hint.WORK, None)
            await self._pass_on([freed_by(holder, replaced)])
            await self._let_follow([holder.rate_lane])
            await self._left([holder.group if replaced.group != holder.group else None])
        return replaced

    @abstractmethod
    def _replace(self, holder: SimpleJob, job: SimpleJob) -> Awaitable[SimpleJob | None]: ...


class Queue(Desk, ABC):
    """Jobs that wait for a worker."""

    async def claim(self, claim: Claim) -> list[Job]:
        """Pending or paused, due, of these names, not excluded → running under the worker.

        Takes at most `limit`, by priority and then by `scheduled_for` (of a claim of what is
        overdue, by that alone); sets `started_at` where it is empty and `updated_at` always.
        Returns what is now ours, in that order; [] when there is nothing. After a lost reply the
        claimed runs stand under the worker's id: see `Runs.of_worker`.
        """
        if not claim.names or claim.limit < 1:
            return []
        return await self._claim(claim)

    @abstractmethod
    def _claim(self, claim: Claim) -> Awaitable[list[Job]]: ...

    async def next_due(self, names: Collection[str]) -> datetime | None:
        """Return the earliest `scheduled_for` of pending or paused jobs of these names."""
        return await self._next_due(names) if names else None

    @abstractmethod
    def _next_due(self, names: Collection[str]) -> Awaitable[datetime | None]: ...

    async def due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str] = (),
        redaction: Redaction | None = None,
    ) -> list[JobSummary]:
        """Return the pending and paused jobs and cron tasks that are due, the earliest first.

        All but those of some names; what a list shows of them, as `History.summaries` does.
        """
        return await self._due(now, limit, leaving_out, redaction) if limit > 0 else []

    @abstractmethod
    def _due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> Awaitable[list[JobSummary]]: ...

    async def count_due(self, names: Collection[str], now: datetime, cap: int) -> dict[str, int]:
        """Count the due jobs of each name that are not parked, each count exact up to `cap`.

        At a cost that what waits for later, or is parked, has no part in; what is 0 is left out.
        """
        return await self._count_due(names, now, cap) if names else {}

    @abstractmethod
    def _count_due(
        self, names: Collection[str], now: datetime, cap: int
    ) -> Awaitable[dict[str, int]]: ...


class Runs(Desk, ABC):
    """Jobs that run: what they keep, and how they end."""

    async def settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Running, under the fence's worker and at its attempt → the outcome's state.

        Each is guarded on its own. Won are those that hold exactly what was to be written (so a
        repetition after a lost reply says the same), refused those that cannot be stored as they
        are, which keeps no other from being written; the rest were taken away. A run of which this
        worker did not know that another job comes after it is settled all the same, and whoever
        comes after what has ended is released.
        """
        if not settlements:
            return Verdict()
        verdict = await self._settle(settlements)
        if verdict.followed:
            verdict = await self._settle_followed(settlements, verdict)
        won = settlements
        if len(verdict.won) < len(settlements):
            won = [each for each in settlements if each.job.id in verdict.won]
        self._tell(*told((each.job.id, each.outcome.status) for each in won))
        if self.lanes is not None and self.lanes.book:
            await self._pass_on(
                freed_by(each.job, each.written())
                for each in won
                if each.job.slot is not None and each.job.id in verdict.won
            )
        await self._let_go(
            ends_of(
                each.written()
                for each in (won if not verdict.followed else _as_followed(won, verdict.followed))
                if each.job.followed and each.job.id in verdict.won
            )
        )
        members = [each for each in won if each.job.group is not None]
        await self._left(each.job.group for each in members if each.outcome.status in SETTLED)
        waits = [each.outcome for each in won if each.outcome.topics]
        if waits and self.messages is not None:
            await self.messages.waited(waits)
        return verdict

    async def _settle_followed(
        self, settlements: Sequence[Settlement], verdict: Verdict
    ) -> Verdict:
        """Settle those that only missed because somebody has begun to follow them."""
        missed = [each for each in settlements if each.job.id not in verdict.won]
        again = [each for each in _as_followed(missed, verdict.followed) if each.job.followed]
        if not again:
            return verdict
        second = await self._settle(again)
        return Verdict(
            verdict.won | second.won, {**verdict.refused, **second.refused}, verdict.followed
        )

    @abstractmethod
    def _settle(self, settlements: Sequence[Settlement]) -> Awaitable[Verdict]: ...

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> Mapping[ObjectId, str]:
        """Running, under the job's worker and at its attempt → the same, with these notes.

        Each is guarded on its own; one that was taken away stays as it is. Returns the jobs whose
        notes cannot be stored, and why; the others' are.
        """
        return await self._save_notes(noted) if noted else {}

    @abstractmethod
    def _save_notes(
        self, noted: Sequence[tuple[Job, Notes]]
    ) -> Awaitable[Mapping[ObjectId, str]]: ...

    @abstractmethod
    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under the job's worker and at its attempt → the same, with this state.

        False when it was taken away. The state stays until the job is sent round again by hand.
        """

    @abstractmethod
    async def save_step(self, job: Job, step: Step) -> bool:
        """Running, under the job's worker and at its attempt → the same, with one step more.

        False when it was taken away. A repetition after a lost reply leaves the step as it is. It
        stays until the job is sent round again from its beginning.
        """

    @abstractmethod
    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last; None when none was, or there is no such job."""

    async def of_worker(
        self,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId] = (),
        *,
        unconfirmed: bool = False,
    ) -> list[Job]:
        """Return what is running under this worker's id and not in `exclude`, at most `limit`.

        With `unconfirmed` also what a claim has written and the database may still lose: for giving
        back, never for running.
        """
        return await self._of_worker(worker_id, limit, exclude, unconfirmed) if limit > 0 else []

    @abstractmethod
    def _of_worker(
        self, worker_id: ObjectId, limit: int, exclude: Collection[ObjectId], unconfirmed: bool
    ) -> Awaitable[list[Job]]: ...

    async def summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what `of_worker` returns."""
        return await self._summaries(worker_id, limit, redaction) if limit > 0 else []

    @abstractmethod
    def _summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    @abstractmethod
    async def move(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Running under `old` → running under `new`; return all ids running under `new`."""

    @abstractmethod
    async def workers(self) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""


class Kills(Desk, ABC):
    """Kill requests: at once for a job that waits, kept until its end for one that runs."""

    async def kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Pending, paused or running under no worker → killed, with its end; None in other states.

        What runs under nobody's id (another writer left it so) nobody else would ever end.
        """
        killed = await self._kill_waiting(job_id, now)
        if killed is not None:
            self._tell(Hint.SETTLED, [job_id])
            await self._pass_on([killed.lane if killed.slot is not None else None])
            await self._let_go(ends_of([killed]))
            await self._let_follow([killed.rate_lane])
            await self._left([killed.group])
        return killed

    @abstractmethod
    def _kill_waiting(self, job_id: ObjectId, now: datetime) -> Awaitable[Job | None]: ...

    async def request(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a kill request for a running job; twice is harmless.

        It stands until it is acknowledged, however long that takes.
        """
        await self._request(job_id, worker_id, now)
        self._tell(Hint.KILL, None)

    @abstractmethod
    def _request(
        self, job_id: ObjectId, worker_id: ObjectId, now: datetime
    ) -> Awaitable[object]: ...

    async def requested(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that have an unacknowledged kill request."""
        return await self._requested(job_ids) if job_ids else set()

    @abstractmethod
    def _requested(self, job_ids: Collection[ObjectId]) -> Awaitable[set[ObjectId]]: ...

    async def acknowledge(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the kill requests of those of these jobs that are settled or gone as done.

        One of a job that is pending, running or paused stands, also when the job has begun anew
        since it was settled: only what was asked before a moment at which it was settled is done.
        """
        if job_ids:
            await self._acknowledge(job_ids)

    @abstractmethod
    def _acknowledge(self, job_ids: Collection[ObjectId]) -> Awaitable[object]: ...


class History(Desk, ABC):
    """All jobs that are stored, for who looks for them, and what is done with those that ended."""

    @abstractmethod
    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""

    async def get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist, in no order."""
        return await self._get_many(job_ids) if job_ids else []

    @abstractmethod
    def _get_many(self, job_ids: Collection[ObjectId]) -> Awaitable[list[Job]]: ...

    async def states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist, and read nothing else of them."""
        return await self._states_of(job_ids) if job_ids else {}

    @abstractmethod
    def _states_of(self, job_ids: Collection[ObjectId]) -> Awaitable[dict[ObjectId, State]]: ...

    async def find(self, query: JobQuery) -> list[Job]:
        """Return a selection of jobs and cron tasks by id, newest first, at most its `limit`.

        Where it looks through jobs, it is among the first `LOOK_THROUGH` of the rest of it.
        """
        return await self._find(query) if query.limit > 0 else []

    @abstractmethod
    def _find(self, query: JobQuery) -> Awaitable[list[Job]]: ...

    async def summaries(
        self, query: JobQuery, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what `find` returns.

        The database makes the extracts: payloads and results do not come out whole.
        """
        return await self._summaries(query, redaction) if query.limit > 0 else []

    @abstractmethod
    def _summaries(
        self, query: JobQuery, redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    async def summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of those of these jobs that exist, in no order."""
        return await self._summaries_of(job_ids, redaction) if job_ids else []

    @abstractmethod
    def _summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    @abstractmethod
    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name; an exclusive one before others."""

    async def latest(
        self,
        names: Sequence[tuple[JobType, str]],
        limit: int,
        redaction: Redaction | None = None,
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name, at most `limit` of each."""
        if not names or limit < 1:
            return [[] for _ in names]
        return await self._latest(names, limit, redaction)

    @abstractmethod
    def _latest(
        self, names: Sequence[tuple[JobType, str]], limit: int, redaction: Redaction | None
    ) -> Awaitable[list[list[JobSummary]]]: ...

    async def names(self, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct (type, name) of stored jobs, at a cost that history has no part in.

        At most `limit`, in order of type and name.
        """
        return await self._names(limit) if limit > 0 else []

    @abstractmethod
    def _names(self, limit: int) -> Awaitable[list[tuple[JobType, str]]]: ...

    async def count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None = None,
    ) -> list[NameCount]:
        """Count the jobs of each name in each state, each count exact up to `cap`.

        In these states only, where some are given; what is 0 is left out.
        """
        return await self._count(names, cap, statuses) if names else []

    @abstractmethod
    def _count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None,
    ) -> Awaitable[list[NameCount]]: ...

    @abstractmethod
    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Return how many jobs a selection has, exact up to `cap`, whatever its `limit`."""

    async def requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        *,
        from_beginning: bool = False,
        from_step: str | None = None,
        at: datetime | None = None,
    ) -> Job | None:
        """Settled → pending, due now or `at` a time, as if it had never run.

        Its history of attempts stays, its notes and its saved state go. Its steps stay, unless it
        has finished or begins `from_beginning`; with `from_step` those before that one stay.

        None when it is not settled, has no such step, or there is none. Raises JobConflictError
        when it is exclusive and another one of its name is active.
        """
        job = await self._requeue(job_id, now, at or now, from_beginning, from_step)
        if job is not None:
            self._tell(Hint.WORK, None)
        return job

    @abstractmethod
    def _requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        at: datetime,
        from_beginning: bool,
        from_step: str | None,
    ) -> Awaitable[Job | None]: ...

    async def delete(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Present and not running → absent; return which are gone now and were there."""
        if not job_ids:
            return set()
        holding = await self._holding(job_ids)
        dated = self.tokens is not None and bool(self.tokens.book)
        leaving = await self.tokens.lanes_of(job_ids) if self.tokens and dated else set()
        gone = await self._delete(job_ids)
        await self._pass_on(lane for job_id, lane in holding.items() if job_id in gone)
        await self._let_follow(leaving)
        await self._let_go(_gone(job_id for job_id, was in gone.items() if was.followed))
        await self._left(was.open_in for was in gone.values())
        return set(gone)

    @abstractmethod
    def _delete(self, job_ids: Collection[ObjectId]) -> Awaitable[Mapping[ObjectId, Gone]]:
        """Return which are gone, and of each who may wait for it."""

    async def prune(
        self, before: datetime, limit: int, errored_before: datetime | None = None
    ) -> int:
        """Settled before this time → absent; at most `limit`, return how many.

        Errored ones by a time of their own, where one is given. Not what the database removes by
        itself (`Abilities.history_days`). Also drops the kill requests of jobs that are settled or
        gone, rollups that are too old, and groups that ended before both times.
        """
        removed, followed = await self._prune(before, limit, errored_before)
        await self._let_go(_gone(followed))
        return removed

    @abstractmethod
    def _prune(
        self, before: datetime, limit: int, errored_before: datetime | None
    ) -> Awaitable[tuple[int, Collection[ObjectId]]]:
        """Return how many are gone, and those of them that are followed."""


class Lanes(Desk, ABC):
    """Jobs that wait for a slot of their lane, or are parked for another reason.

    Whoever frees a slot writes that first and then looks for whom it is; whoever finds none parks
    the job first and then looks whether one is free. So of two that race, one sees the other.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self.book = LimitBook()
        """The limits, as this process knows them."""

    async def claim(self, claim: LaneClaim) -> Taken:
        """In line, due, of these names → running under the worker, with a slot of their lane.

        Where there is a limit. In an ordered lane it is the lane's next that runs, and not whoever
        met the free slot. What finds a lane of a key full is parked, with others that wait there;
        of a lane without a key it is left where it stands. After a lost reply the claimed runs
        stand under the worker's id: see `Runs.of_worker`.
        """
        if not claim.names or claim.limit < 1:
            return Taken([], blocked=False)
        return await self._claim(claim)

    @abstractmethod
    def _claim(self, claim: LaneClaim) -> Awaitable[Taken]: ...

    async def hand_over(self, lanes: Collection[str]) -> int:
        """Waiting, the next of its lane → admitted: with a slot, in line, from now on.

        As many as are free in each of the lanes; returns how many. A lane whose limit nobody knows
        here is left to the sweep, as it is when this fails: the write that freed the slot holds.
        Of a lane without a key nobody is parked: who stands in line is for the next claim.
        """
        if not all(map(has_key, lanes)):
            self._tell(Hint.FREED, None)
        keyed = [lane for lane in lanes if has_key(lane) and self.book.amount(lane) is not None]
        if not keyed:
            return 0
        try:
            await self.book.refresh()
            known = {lane: self.book.amount(lane) or 1 for lane in keyed}
            admitted = await self._hand_over(known, self.book.names(), self.book.now())
        except StoreError as error:
            _logger.warning("lanes: %s; what waits there is found by the next sweep", error)
            return 0
        if admitted:
            self._tell(Hint.WORK, None)
        return admitted

    @abstractmethod
    def _hand_over(
        self, lanes: Mapping[str, int], names: Collection[str], now: datetime
    ) -> Awaitable[int]:
        """Admit the next of each lane, as far as its limit allows, of these names.

        In an ordered lane whose next is of no such name nobody is admitted.
        """

    async def park(self, job_ids: Collection[ObjectId], reason: str, now: datetime) -> int:
        """Pending without a slot, in line or in no lane → parked for `reason`; return how many.

        One that is parked already keeps its reason. Repeating is harmless.
        """
        return await self._park(job_ids, reason, now) if job_ids else 0

    @abstractmethod
    def _park(
        self, job_ids: Collection[ObjectId], reason: str, now: datetime
    ) -> Awaitable[int]: ...

    async def release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None = None
    ) -> int:
        """Parked → in the line of its lane, or as any job where it has none; return how many.

        It stands there at `at`, or at its own time. Repeating is harmless.
        """
        released = await self._release(job_ids, now, at) if job_ids else 0
        if released:
            self._tell(Hint.WORK, None)
        return released

    @abstractmethod
    def _release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None
    ) -> Awaitable[int]: ...

    async def withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Admitted before a time and of none of these names → parked; return how many.

        For jobs that nobody claims: their slots are for others. An ordered lane stays as it is.
        """
        return await self._withdraw(lanes, before, names) if lanes else 0

    @abstractmethod
    def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> Awaitable[int]: ...

    async def retract(self, lanes: Collection[str]) -> int:
        """Admitted with a slot beyond the limit of its lane → parked; return how many.

        For a limit that was lowered: what runs goes on, and what had not begun waits again.
        """
        known = {lane: amount for lane in lanes if (amount := self.book.amount(lane)) is not None}
        return await self._retract(known) if known else 0

    @abstractmethod
    def _retract(self, lanes: Mapping[str, int]) -> Awaitable[int]: ...

    async def dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none, at most `limit`; return how many.

        For names whose limit is no more.
        """
        asked = bool(lanes and names) and limit > 0
        dissolved = await self._dissolve(lanes, names, limit) if asked else 0
        if dissolved:
            self._tell(Hint.WORK, None)
        return dissolved

    @abstractmethod
    def _dissolve(
        self, lanes: Collection[str], names: Collection[str], limit: int
    ) -> Awaitable[int]: ...

    async def expire(self, now: datetime, limit: int) -> int:
        """Waiting unbegun without a slot, and expired → in no lane, at its time; return how many.

        At most `limit`, those that expired first. A claim then ends it as any other that expired.
        """
        expired = await self._expire(now, limit) if limit > 0 else 0
        if expired:
            self._tell(Hint.WORK, None)
        return expired

    @abstractmethod
    def _expire(self, now: datetime, limit: int) -> Awaitable[int]: ...

    async def waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, by name, behind one, at most `limit`."""
        return await self._waiting(after, limit) if limit > 0 else []

    @abstractmethod
    def _waiting(self, after: str, limit: int) -> Awaitable[list[str]]: ...

    async def in_use(self, bounds: Sequence[Bounds], limit: int) -> list[str]:
        """Return the lanes in which anything waits or has a slot, by name; of each of the bounds.

        At most about `limit` of each: where there are more, which ones is left open.
        """
        return await self._in_use(bounds, limit) if bounds and limit > 0 else []

    @abstractmethod
    def _in_use(self, bounds: Sequence[Bounds], limit: int) -> Awaitable[list[str]]: ...

    async def look_at(self, lanes: Sequence[str], cap: int) -> list[LaneInfo]:
        """Return how these lanes stand, in their order, each count exact up to `cap`."""
        return await self._look_at(lanes, cap) if lanes else []

    @abstractmethod
    def _look_at(self, lanes: Sequence[str], cap: int) -> Awaitable[list[LaneInfo]]: ...

    async def members(self, lane: str, limit: int) -> tuple[list[ObjectId], list[ObjectId]]:
        """Return the jobs of a lane that have a slot, and those that are to have one, next first.

        At most `limit` of each.
        """
        return await self._members(lane, limit) if limit > 0 else ([], [])

    @abstractmethod
    def _members(
        self, lane: str, limit: int
    ) -> Awaitable[tuple[list[ObjectId], list[ObjectId]]]: ...

    async def parked(self, names: Collection[str], cap: int) -> dict[str, int]:
        """Count the parked jobs of each name, for whatever reason, each count exact up to `cap`.

        What is 0 is left out.
        """
        return await self._parked(names, cap) if names else {}

    @abstractmethod
    def _parked(self, names: Collection[str], cap: int) -> Awaitable[dict[str, int]]: ...

    @abstractmethod
    async def holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot."""

    async def next_ready(
        self, names: Collection[str], after: datetime | None = None
    ) -> datetime | None:
        """Return when the first job of these names is ready that is in line; None: none is.

        after: only what is ready later than that counts.
        """
        return await self._next_ready(names, after) if names else None

    @abstractmethod
    def _next_ready(
        self, names: Collection[str], after: datetime | None
    ) -> Awaitable[datetime | None]: ...


class Tokens(Desk, ABC):
    """Jobs that wait for a start, in lanes of rates that have a key: see `store/tokens.py`."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self.book = RateBook()
        """The rates, as this process knows them."""

    async def admit(self, lanes: Collection[str]) -> int:
        """Parked for a token, the first of their lane → dated; return how many.

        As far as the rate lets them. Where it lets none, and nobody is in line, the first of them
        is the next one. A lane whose rate nobody knows here is left to the sweep, as it is when
        this fails.
        """
        paces = {lane: rate.pace for lane in lanes if (rate := self.book.of(lane)) is not None}
        if not paces:
            return 0
        try:
            admitted = await self._admit(paces, FOLLOWERS, self.book.names())
        except StoreError as error:
            _logger.warning("rates: %s; what waits there is found by the next sweep", error)
            return 0
        if admitted:
            self._tell(Hint.WORK, None)
        return admitted

    def note(self, lane: str, reserved: Reservation) -> None:
        """Note a lane whose clock was wrong, for whoever warns of it."""
        if reserved.ahead:
            self.book.wrong[lane] = reserved.ahead

    @abstractmethod
    def _admit(
        self, lanes: Mapping[str, Pace], limit: int, names: Collection[str]
    ) -> Awaitable[int]:
        """Do so, in each lane for so many at most, of these names."""

    async def recall(self, group: str, after: datetime, at: datetime) -> int:
        """Dated or the next one, later than `after`, in lanes of a group → the next one, at `at`.

        Returns how many. Their tokens are lost. For a rate that was changed.
        """
        recalled = await self._recall(group, after, at)
        if recalled:
            self._tell(Hint.WORK, None)
        return recalled

    @abstractmethod
    def _recall(self, group: str, after: datetime, at: datetime) -> Awaitable[int]: ...

    async def hasten(self, lane: str, at: datetime) -> int:
        """The next one of a lane, later than this → at this moment; return how many.

        For a hold that ends sooner than it was to.
        """
        hastened = await self._hasten(lane, at)
        if hastened:
            self._tell(Hint.WORK, None)
        return hastened

    @abstractmethod
    def _hasten(self, lane: str, at: datetime) -> Awaitable[int]: ...

    async def withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Dated or the next one, ready before a time, of none of these names → parked for a token.

        Returns how many: for jobs that nobody claims, which let nobody follow.
        """
        return await self._withdraw(lanes, before, names) if lanes else 0

    @abstractmethod
    def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> Awaitable[int]: ...

    async def dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none of a rate, at most `limit`.

        Returns how many; for names whose rate is no more. What has a limit waits for that.
        """
        asked = bool(lanes and names) and limit > 0
        dissolved = await self._dissolve(lanes, names, limit) if asked else 0
        if dissolved:
            self._tell(Hint.WORK, None)
        return dissolved

    @abstractmethod
    def _dissolve(
        self, lanes: Collection[str], names: Collection[str], limit: int
    ) -> Awaitable[int]: ...

    async def waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, by name, behind one, at most `limit`."""
        return await self._waiting(after, limit) if limit > 0 else []

    @abstractmethod
    def _waiting(self, after: str, limit: int) -> Awaitable[list[str]]: ...

    @abstractmethod
    async def lanes_of(self, job_ids: Collection[ObjectId]) -> set[str]:
        """Return the lanes in which any of these jobs waits."""


class Waits(Desk, ABC):
    """Jobs that come after others: see `store.waits`."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self.now: Callable[[], datetime] = Clock().now
        """The time at which jobs are skipped here."""
        self.on_left: Callable[[Sequence[End]], object] | None = None
        """Called with the ends of which a release has left some to the sweep."""

    async def follow(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, JobStatus]:
        """Pending, running or paused → followed; return the states of those that exist.

        They are read after that write. `updated_at` stays as it is. Repeating is harmless.
        """
        return await self._follow(job_ids) if job_ids else {}

    @abstractmethod
    def _follow(self, job_ids: Collection[ObjectId]) -> Awaitable[dict[ObjectId, JobStatus]]: ...

    @abstractmethod
    async def follow_in(
        self, session: Any, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Do what `follow` does as a part of the caller's transaction, as `Intake.insert_in`."""

    async def release(self, ends: Sequence[End]) -> int:
        """Waiting for what has ended → without that; free to start where nothing is left.

        What waits for a failure follows its own rule: it goes on as well, waits on, or is skipped,
        and whoever comes after it in turn. Returns how many have moved. Repeating is harmless. So
        many passes are done at once; what is left, and what fails, is found by the sweep.
        """
        todo, moved, groups = list(ends), 0, set[ObjectId]()
        try:
            for _ in range(RELEASE_PASSES):
                if not todo:
                    break
                now, later = todo[:RELEASED_AT_ONCE], todo[RELEASED_AT_ONCE:]
                done = await self._release(now, self.now(), RELEASED_AT_ONCE)
                moved += done.freed + len(done.skipped)
                groups |= done.groups
                if done.freed:
                    self._tell(Hint.WORK, None)
                if done.skipped:
                    self._tell(Hint.SETTLED, done.skipped)
                todo = [*later, *(now if done.more else ()), *done.ends]
        except StoreError as error:
            _logger.warning("release: %s; who waits there is found by the next sweep", error)
            todo = []
        await self._left(groups)
        if todo and self.on_left is not None:
            self.on_left(todo)
        return moved

    @abstractmethod
    def _release(self, ends: Sequence[End], now: datetime, limit: int) -> Awaitable[Released]:
        """Do one pass of it, for at most `limit` jobs."""

    async def waited_for(self, behind: str, limit: int) -> list[str]:
        """Return the tags that anybody may wait for, in order, behind one, at most `limit`."""
        return await self._waited_for(behind, limit) if limit > 0 else []

    @abstractmethod
    def _waited_for(self, behind: str, limit: int) -> Awaitable[list[str]]: ...

    async def followers(self, tag: str, limit: int) -> list[ObjectId]:
        """Return the jobs that come after what has this tag, the oldest first, at most `limit`."""
        return await self._followers(tag, limit) if limit > 0 else []

    @abstractmethod
    def _followers(self, tag: str, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def parents(self, job_ids: Collection[ObjectId]) -> list[RelatedJob]:
        """Return how those of these jobs stand that exist, and read nothing else, in no order."""
        return await self._parents(job_ids) if job_ids else []

    @abstractmethod
    def _parents(self, job_ids: Collection[ObjectId]) -> Awaitable[list[RelatedJob]]: ...

    async def flows(self, below: ObjectId | None, limit: int) -> list[ObjectId]:
        """Return the flows that there are jobs of, the newest first, with ids below one."""
        return await self._flows(below, limit) if limit > 0 else []

    @abstractmethod
    def _flows(self, below: ObjectId | None, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def graph(self, flow: ObjectId, limit: int, *, newest: bool = False) -> list[Node]:
        """Return the oldest jobs of a flow, at most `limit`, or the newest; in the order of ids."""
        return await self._graph(flow, limit, newest=newest) if limit > 0 else []

    @abstractmethod
    def _graph(self, flow: ObjectId, limit: int, *, newest: bool) -> Awaitable[list[Node]]: ...

    @abstractmethod
    async def counts_of_flow(self, flow: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the jobs of a flow by name and state."""

    @abstractmethod
    async def bring_back(
        self, tag: str, now: datetime, limit: int
    ) -> dict[ObjectId, tuple[str, ...]]:
        """Skipped because of this → waiting for all that they come after, at most `limit`.

        Returns what each of them comes after. One that is exclusive, or has a unique key, stays
        skipped while another one is active.
        """


def _as_followed(
    settlements: Iterable[Settlement], followed: Collection[ObjectId]
) -> list[Settlement]:
    """Return settlements, those of these jobs with a copy that knows it is followed."""
    return [
        Settlement(replace(each.job, followed=True), each.outcome, each.writer)
        if each.job.id in followed
        else each
        for each in settlements
    ]


def _gone(job_ids: Iterable[ObjectId]) -> list[End]:
    ends = (end_of(job_id, None) for job_id in job_ids)
    return [end for end in ends if end is not None]


class Messages(Desk, ABC):
    """Messages by name, kept for a time, and the jobs that wait for them.

    Whoever sends writes the message first and then looks who waits for it; whoever waits writes
    that first and then looks for the message. So of two that race, one sees the other.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self.on_wait: Callable[[datetime], object] = lambda _: None
        """Called with the time until when a job of this process begins to wait."""

    async def put(self, message: Message) -> bool:
        """Absent, or its time over → as given; False where another one of its name is there.

        A repetition after a lost reply says the same. The jobs that wait for it are let go on by
        `deliver`.
        """
        return await self._put(message)

    @abstractmethod
    def _put(self, message: Message) -> Awaitable[bool]: ...

    @abstractmethod
    async def put_in(self, session: Any, message: Message) -> bool:
        """Do as `put` and `deliver` do, as a part of the caller's transaction.

        Raises InvalidArgumentError when `session` is none of this database. Errors of the caller's
        driver are not translated: it may have to repeat the transaction.
        """

    async def find(self, topics: Collection[str], now: datetime) -> dict[str, Message]:
        """Return the messages of these names that are there, by name."""
        return await self._find(topics, now) if topics else {}

    @abstractmethod
    def _find(self, topics: Collection[str], now: datetime) -> Awaitable[dict[str, Message]]: ...

    async def deliver(self, topics: Collection[str], now: datetime) -> int:
        """Parked for one of these messages → in its line, or as any job, now; return how many."""
        delivered = 0
        for topic in topics:
            while waiting := await self.waiting_for(topic, _WOKEN_AT_ONCE):
                woken = await self.wake(waiting, now)
                delivered += woken
                if woken < _WOKEN_AT_ONCE:
                    break
        return delivered

    async def waiting_for(self, topic: str, limit: int) -> list[ObjectId]:
        """Return the jobs that are parked for a message, alone or among several."""
        return await self._waiting_for(topic, limit) if limit > 0 else []

    @abstractmethod
    def _waiting_for(self, topic: str, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def wake(self, job_ids: Collection[ObjectId], at: datetime | None = None) -> int:
        """Parked for a message → in the line of its lane, or as any job; return how many.

        It stands there at `at`, or at the time until when it waits. Repeating is harmless.
        """
        woken = await self._wake(job_ids, at) if job_ids else 0
        if woken:
            self._tell(Hint.WORK, None)
        return woken

    @abstractmethod
    def _wake(self, job_ids: Collection[ObjectId], at: datetime | None) -> Awaitable[int]: ...

    async def waiting(self, limit: int, after: Wait | None = None) -> list[Wait]:
        """Return what waits for messages, by the time until when, behind one, at most `limit`."""
        return await self._waiting(limit, after) if limit > 0 else []

    @abstractmethod
    def _waiting(self, limit: int, after: Wait | None) -> Awaitable[list[Wait]]: ...

    async def waited(self, waits: Sequence[Outcome]) -> None:
        """Let go on what was just parked for a message that is there already.

        What fails is left to the sweep: that it waits is written.
        """
        for each in waits:
            if each.scheduled_for is not None:
                self.on_wait(each.scheduled_for)
        now = max(each.at for each in waits)
        try:
            there = await self.find({topic for each in waits for topic in each.topics}, now)
            await self.deliver(there, now)
        except StoreError as error:
            _logger.warning("messages: %s; who waits for one is found by the next sweep", error)


class Groups(Desk, ABC):
    """Groups of jobs, and what follows their ends.

    A group ends when it is sealed and none of its members is active. Whoever ends a member, or
    seals, writes that first and then looks: of two that do so at once, one sees that nothing is
    left, or both do, and one wins the guarded write of the end.
    """

    intake: Intake
    """Where callbacks come in: one of its own, so that no two desks keep each other alive."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self.now: Callable[[], datetime] = Clock().now
        """The time at which groups end here."""
        self.on_called: Callable[[SimpleJob], object] = lambda _: None
        """Called with each callback that is stored."""

    @abstractmethod
    async def open(self, record: GroupRecord) -> None:
        """Absent → as given; one that is there stays: it was our own first attempt."""

    async def get(self, group_id: ObjectId) -> GroupRecord | None:
        """Return a group, None when there is none of this id."""
        return next(iter(await self.get_many([group_id])), None)

    async def get_many(self, group_ids: Collection[ObjectId]) -> list[GroupRecord]:
        """Return those of the groups that exist, as the database has them last, in no order."""
        return await self._get_many(group_ids) if group_ids else []

    @abstractmethod
    def _get_many(self, group_ids: Collection[ObjectId]) -> Awaitable[list[GroupRecord]]: ...

    async def newest(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        """Return groups, the newest first, with ids below one, at most `limit`."""
        return await self._newest(after, limit) if limit > 0 else []

    @abstractmethod
    def _newest(self, after: ObjectId | None, limit: int) -> Awaitable[list[GroupRecord]]: ...

    async def unfinished(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        """Return groups that have not ended, or whose end nothing has followed yet.

        With ids above one, in their order, at most `limit`.
        """
        return await self._unfinished(after, limit) if limit > 0 else []

    @abstractmethod
    def _unfinished(self, after: ObjectId | None, limit: int) -> Awaitable[list[GroupRecord]]: ...

    @abstractmethod
    async def touch(self, group_id: ObjectId, now: datetime) -> bool:
        """Open → the same, touched now; False when it is sealed, or gone."""

    async def seal(self, group_id: ObjectId, broken: str | None = None) -> bool:
        """Open → sealed, and ended if nothing is open in it; False when it was sealed, or is gone.

        broken: why it cannot end well, whatever becomes of its members. A repetition after a lost
        reply gives False, and has sealed it all the same.
        """
        sealed = await self._seal(group_id, broken)
        if sealed:
            await self.look([group_id])
        return sealed

    @abstractmethod
    def _seal(self, group_id: ObjectId, broken: str | None) -> Awaitable[bool]: ...

    @abstractmethod
    async def abandon(self, group_id: ObjectId, untouched_since: datetime, why: str) -> bool:
        """Open, and not touched since → sealed and broken; False in other states."""

    @abstractmethod
    async def break_off(self, group_id: ObjectId, why: str) -> bool:
        """Not ended → sealed and broken; False when it has ended, or is gone."""

    @abstractmethod
    async def reopen(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        """Sealed, and owing nothing → open, in its next round if it had ended; return it.

        None in other states.
        """

    async def look(self, group_ids: Collection[ObjectId]) -> None:
        """Sealed with nothing open → ended, and whatever follows its end.

        What is not done because the database fails is left to the sweep: the write that ended the
        last member holds.
        """
        try:
            for group_id in set(group_ids).difference(await self.open_of(group_ids)):
                record = await self.complete(group_id)
                if record is not None:
                    await self.serve(record)
        except StoreError as error:
            _logger.warning("groups: %s; what follows their ends is done by the next sweep", error)

    async def open_of(self, group_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the groups in which anything is open: one question to the index."""
        return await self._open_of(group_ids) if group_ids else set()

    @abstractmethod
    def _open_of(self, group_ids: Collection[ObjectId]) -> Awaitable[set[ObjectId]]: ...

    async def complete(self, group_id: ObjectId) -> GroupRecord | None:
        """Sealed, not ended, nothing open → ended, owing what follows; None in other states."""
        record = await self._complete(group_id, self.now())
        if record is not None:
            self._tell(Hint.SETTLED, [])
        return record

    @abstractmethod
    def _complete(self, group_id: ObjectId, now: datetime) -> Awaitable[GroupRecord | None]: ...

    async def serve(self, record: GroupRecord) -> None:
        """Do what follows the end of a group, and note that it is done; raises StoreError.

        Repeating is harmless: the callback has the id of its round. Where an exclusive job of its
        name is active, nothing is noted, so that the next sweep tries again.
        """
        callback = record.callback_job()
        if callback is not None:
            if await self.intake.insert([callback]):
                return
            self.on_called(callback)
        await self.release_waiters(record)
        await self.note_served(record.id, record.round)

    async def release_waiters(self, record: GroupRecord) -> None:
        """Let go the jobs that come after the group; repeating is harmless."""
        if self.waits is not None:
            await self.waits.release([record.end])

    @abstractmethod
    async def note_served(self, group_id: ObjectId, round: int) -> None:
        """Ended in this round → owing nothing; other states stay."""

    async def mend(self, group_ids: Collection[ObjectId]) -> int:
        """Settled, and still open in one of these groups → as ended; return how many.

        An older program settles what it does not know to be a member. At most 1,000 at a time, and
        only in groups in which nothing is active any more: the others do not end by that.
        """
        return await self._mend(group_ids) if group_ids else 0

    @abstractmethod
    def _mend(self, group_ids: Collection[ObjectId]) -> Awaitable[int]: ...

    @abstractmethod
    async def counts(self, group_id: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the members by name and state; what is 0 is left out."""


class Workers(Desk, ABC):
    """Registrations of workers; their times are the database's own."""

    @abstractmethod
    async def register(self, worker: WorkerInfo) -> None:
        """Absent → registered, its `last_seen` the database's present time; or refresh it."""

    @abstractmethod
    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Registered → with the database's present time as its `last_seen`, and these values.

        False when there is no such registration (it is never created here). Repeating is harmless.
        """

    @abstractmethod
    async def unregister(self, worker_id: ObjectId) -> None:
        """Registered → absent; nothing when it is gone."""

    @abstractmethod
    async def registrations(self) -> Registrations:
        """Return all registered workers with the database's present time."""

    @abstractmethod
    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Registered, with the very `last_seen` that was read → absent; False when it moved on."""

    @abstractmethod
    async def count_alive(self) -> int:
        """Count the registered workers that are alive, in one small read."""

    @abstractmethod
    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time, and read nothing else.

        Jobs of some names are left out.
        """


class Crons(Desk, ABC):
    """Crons: their pointer to the next occurrence, and the occurrences that stand in the queue."""

    @abstractmethod
    async def all(self) -> list[Cron]:
        """Return all crons of the database, by name."""

    @abstractmethod
    async def create(self, cron: Cron) -> bool:
        """Absent → as given; False when a cron of this name is there."""

    @abstractmethod
    async def update(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a cron's pointer, only if expression and pointer are still those of `cron`."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Present → absent, together with its pending occurrences that were planned by us."""

    @abstractmethod
    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Pending cron tasks later than `after` → absent; return how many.

        Leaves those in `keep`, those that a retry put back, and those started by hand (their id is
        not derived from name and time). Where the cron's pointer, as it stands now, is at none of
        `keep`, what the caller knows is old: then also those before the pointer stay, which may
        have come due meanwhile.
        """

    async def skip_waiting(self, name: str, now: datetime) -> int:
        """Pending or paused cron tasks of this name → skipped, for `other`; return how many."""
        skipped = await self._skip_waiting(name, now)
        if skipped:
            self._tell(Hint.SETTLED, None)
        return skipped

    @abstractmethod
    def _skip_waiting(self, name: str, now: datetime) -> Awaitable[int]: ...

    async def standing_at(self, job_ids: Collection[ObjectId]) -> list[Cron]:
        """Return the crons whose pointer stands at one of these occurrences."""
        wanted = set(job_ids)
        crons = await self.all()
        return [each for each in crons if occurrence_id(each.name, each.scheduled_for) in wanted]


class Settings(Desk, ABC):
    """Small documents by kind and name, changed only by whoever knows the last value."""

    @abstractmethod
    async def all(self, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind, by name."""

    @abstractmethod
    async def last(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""

    async def put(self, kind: str, name: str, value: Setting, expected: Setting | None) -> bool:
        """Replace a setting if it still equals `expected` (None: if absent); False if it lost."""
        done = await self._put(kind, name, value, expected)
        self._tell(Hint.SETTINGS, None)
        return done

    @abstractmethod
    def _put(
        self, kind: str, name: str, value: Setting, expected: Setting | None
    ) -> Awaitable[bool]: ...

    async def remove(self, kind: str, name: str, expected: Setting | None = None) -> bool:
        """Present, and equal to `expected` where that is given → absent; False when it is not."""
        done = await self._remove(kind, name, expected)
        self._tell(Hint.SETTINGS, None)
        return done

    @abstractmethod
    def _remove(self, kind: str, name: str, expected: Setting | None) -> Awaitable[bool]: ...

    async def remove_before(self, kind: str, name: str) -> None:
        """Present → absent, for all settings of a kind whose names come before one."""
        await self._remove_before(kind, name)
        self._tell(Hint.SETTINGS, None)

    @abstractmethod
    def _remove_before(self, kind: str, name: str) -> Awaitable[object]: ...


class Rates(Desk, ABC):
    """Lanes of jobs that share a rate, by the database's clock in the very write."""

    async def reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        """Absent or present → with up to `count` more starts; return how many, and when the next.

        See `store.rates.Lane.reserved`. After a lost reply they may be reserved, and are lost: that
        makes the lane slower, never faster.
        """
        if count < 1:
            raise ValueError(f"{count} starts cannot be reserved")
        return await self._reserve(lane, pace, count)

    @abstractmethod
    def _reserve(self, lane: str, pace: Pace, count: int) -> Awaitable[Reservation]: ...

    async def give_back(self, lane: str, reserved: Reservation, unused: int) -> bool:
        """Reserved last by this very reservation → with so many starts fewer.

        False when somebody has reserved since: whether they would have been granted the same is not
        known any more, so these starts are lost.
        """
        return await self._give_back(lane, reserved, unused) if unused > 0 else True

    @abstractmethod
    def _give_back(self, lane: str, reserved: Reservation, unused: int) -> Awaitable[bool]: ...

    async def hold(self, lane: str, seconds: float, *, at_least: bool = False) -> None:
        """Absent or present → without a start for so many seconds from now; 0 ends a hold.

        at_least: no shorter than it is held already. Twice holds it from the second time on.
        """
        await self._hold(lane, seconds, at_least)
        self._tell(Hint.WORK, None)

    @abstractmethod
    def _hold(self, lane: str, seconds: float, at_least: bool) -> Awaitable[object]: ...

    @abstractmethod
    async def states(self, limit: int, prefix: str = KEYLESS_RATE) -> dict[str, LaneState]:
        """Return how the lanes stand whose names begin with this, by name, at most `limit`."""


class Schedules(Desk, ABC):
    """Schedules that were made at run time: each changed only by whoever knows its last write."""

    @abstractmethod
    async def get(self, name: str) -> Schedule | None:
        """Return a schedule, None when there is none of this name."""

    async def put(self, schedule: Schedule, expected: ObjectId | None) -> bool:
        """Absent (expected: None), or with this token → as given; False when it lost."""
        done = await self._put(replace(schedule, token=ObjectId()), expected)
        self._tell(Hint.SCHEDULES, None)
        return done

    @abstractmethod
    def _put(self, schedule: Schedule, expected: ObjectId | None) -> Awaitable[bool]: ...

    @abstractmethod
    async def remove(self, name: str) -> bool:
        """Present → absent; False when there is none."""

    async def page(self, after: str, limit: int, job: str | None = None) -> list[Schedule]:
        """Return schedules by name, from behind one on, at most `limit`; of one job, or of all."""
        return await self._page(after, limit, job) if limit > 0 else []

    @abstractmethod
    def _page(self, after: str, limit: int, job: str | None) -> Awaitable[list[Schedule]]: ...

    async def due(self, jobs: Collection[str], now: datetime, limit: int) -> list[Schedule]:
        """Return those of these jobs that are due, the earliest first, at most `limit`."""
        return await self._due(jobs, now, limit) if jobs and limit > 0 else []

    @abstractmethod
    def _due(
        self, jobs: Collection[str], now: datetime, limit: int
    ) -> Awaitable[list[Schedule]]: ...

    async def next_due(self, jobs: Collection[str]) -> datetime | None:
        """Return when the first of these jobs' schedules is due."""
        return await self._next_due(jobs) if jobs else None

    @abstractmethod
    def _next_due(self, jobs: Collection[str]) -> Awaitable[datetime | None]: ...

    @abstractmethod
    async def moved_after(self, moment: datetime, limit: int) -> list[Schedule]:
        """Return those whose next moment was computed later than this, at most `limit`."""

    async def advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> set[str]:
        """With the token of the first → as the second; return the names of those that won.

        Each is guarded on its own, all in one bulk write. After a lost reply nobody seems to have
        won: what was to follow is told of by nobody, and no job is made twice.
        """
        written = [(before, replace(after, token=ObjectId())) for before, after in moves]
        return await self._advance(written) if moves else set()

    @abstractmethod
    def _advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> Awaitable[set[str]]: ...

    @abstractmethod
    async def prune(self, before: datetime, limit: int) -> int:
        """Ended before this time → absent; at most `limit`, return how many."""


class Rollups(Desk, ABC):
    """Counts of spans of time, added up."""

    async def add(self, rollups: Sequence[Rollup]) -> None:
        """Absent or present → with these counts added.

        A repetition after a lost reply may count twice: they are for charts.
        """
        if rollups:
            await self._add(rollups)

    @abstractmethod
    def _add(self, rollups: Sequence[Rollup]) -> Awaitable[object]: ...

    @abstractmethod
    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later, the earliest first."""


class Store(ABC):
    """A database that keeps jobs, crons, workers, kill requests and settings."""

    address: str
    """Where it is, for messages; without credentials."""

    intake: Intake
    queue: Queue
    runs: Runs
    kills: Kills
    history: History
    workers: Workers
    crons: Crons
    settings: Settings
    rollups: Rollups
    rates: Rates
    lanes: Lanes
    waits: Waits
    schedules: Schedules
    messages: Messages
    tokens: Tokens
    groups: Groups

    @property
    @abstractmethod
    def abilities(self) -> Abilities:
        """What this database can do, as far as it is known by now: `setup()` may find out more."""

    @abstractmethod
    async def setup(self) -> None:
        """Connect, create and verify what the store needs; safe from many processes at once.

        Raises StoreSetupError when the database cannot serve as it is.
        """

    async def exists(self) -> bool:
        """Return whether it is there already, so that `setup` makes none; makes nothing itself."""
        return True

    @abstractmethod
    async def describe(self) -> Description:
        """Return how the database stands; raises StoreError.

        Needs no `setup`, and changes nothing but what a database does by being opened.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close what this store opened; a client that was passed in stays open."""

    @abstractmethod
    async def ping(self) -> datetime:
        """Return the database's present time."""

    @abstractmethod
    def subscribe(self, listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        """Call `listener` in the event loop whenever something may have changed.

        Writes of this process and, as far as the database tells, those of others. Returns a
        function that ends it. Hints may be missing or spurious.

        ends: False for one that asks nothing about jobs that other processes settle. Where nobody
            does, a store may leave those out, which are most of what changes.
        """

    @abstractmethod
    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Call `listener` in the event loop whenever jobs may have been settled, with their ids.

        As `subscribe` does. None stands for any: what others do is not always told job by job.
        """

    def node_side(self) -> NodeSide | None:
        """Return what is special beside the Node package; None where it knows no such database."""
        return None

    @abstractmethod
    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a connection of its own for the heartbeat, from the thread that will use it.

        patience: seconds after which a beat that got no answer is to fail, where the store may
            choose. Raises StoreError where there can be no such connection.
        """
