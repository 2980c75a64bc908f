"""The MongoDB store: each verb of the interface, handed to the part that does it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymongo
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from job_processor.errors import StoreError, StoreSetupError, StoreUnavailableError
from job_processor.models import (
    Cron,
    Job,
    JobStatus,
    JobType,
    Notes,
    Registrations,
    SimpleJob,
    Vitals,
    WorkerInfo,
)
from job_processor.redaction import Redaction
from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.base import EndListener, Hint, HintListener, Pulse, Setting, State, Store
from job_processor.store.hints import of_ends, of_hints, told
from job_processor.store.mongo.connection import CLOSE_TIMEOUT, Connection, adopt, connect
from job_processor.store.mongo.crons import Crons
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import DRIVER_ERRORS, translate
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.hinting import Hinting
from job_processor.store.mongo.history import Reading
from job_processor.store.mongo.intake import Jobs
from job_processor.store.mongo.kills import Signals
from job_processor.store.mongo.node import MongoNodeSide
from job_processor.store.mongo.preparation import prepare
from job_processor.store.mongo.pruning import History
from job_processor.store.mongo.pulse import ThreadPulse
from job_processor.store.mongo.queue import Claims
from job_processor.store.mongo.records import Records
from job_processor.store.mongo.rollups import Rollups
from job_processor.store.mongo.runs import Settlements
from job_processor.store.mongo.schema import is_of_node
from job_processor.store.mongo.settings import Settings
from job_processor.store.mongo.transactions import Transactions
from job_processor.store.mongo.turns import Turns
from job_processor.store.mongo.unique_keys import UniqueKeys
from job_processor.store.mongo.watch import Watch
from job_processor.store.mongo.workers import Workers
from job_processor.store.node import NodeSide
from job_processor.store.requests import Claim, JobQuery, NameCount, Settlement, Verdict
from job_processor.store.rollups import Rollup
from job_processor.store.summaries import JobSummary

T = TypeVar("T")


def open_mongo(
    url: str,
    *,
    prefix: str = "job_processor",
    history_days: float = MONGO_MAX_HISTORY_DAYS,
) -> MongoStore:
    """Return a store on the database that `url` names; its client is closed with the store.

    Nothing is sent before `setup()`. Raises InvalidArgumentError when the URL is malformed or names
    no database.
    """
    return MongoStore(connect(url), prefix=prefix, history_days=history_days)


class MongoStore(Store):
    """Jobs in the collections `<prefix>.jobs`, `.workers`, `.signals` and `.settings`."""

    claims_one_sooner = True

    def __init__(self, connection: Connection, *, prefix: str, history_days: float) -> None:
        self.address = connection.address
        self._connection = connection
        self._logger = logging.getLogger("job_processor")
        self._routed = False
        self._handles = handles = Handles.of(connection.database, prefix)
        self._turns = Turns()
        self._watch = Watch(connection, handles, self._turns, self._logger)
        self._jobs = Jobs(handles)
        self._transactions = Transactions(handles, self.address)
        self._unique_keys = UniqueKeys(handles)
        self._hinting = Hinting(handles.jobs.name, self._logger)
        self._claims = Claims(handles, self._hinting, self._logger)
        self._settlements = Settlements(handles, self._logger)
        self._records = Records(handles)
        self._signals = Signals(handles)
        self._workers = Workers(handles)
        self._crons = Crons(handles)
        self._settings = Settings(handles)
        self._reading = Reading(handles, self._hinting)
        self._rollups = Rollups(handles)
        self._history = History(handles, history_days)

    @classmethod
    def from_database(
        cls,
        database: AsyncDatabase[Document],
        *,
        prefix: str = "job_processor",
        history_days: float = MONGO_MAX_HISTORY_DAYS,
    ) -> MongoStore:
        """Return a store on a database that was passed in, whose client stays open.

        Raises InvalidArgumentError, which says what to pass instead, for anything but an
        AsyncDatabase of pymongo.
        """
        return cls(adopt(database), prefix=prefix, history_days=history_days)

    @property
    def hints_of_others(self) -> bool:  # type: ignore[override]  # it is found out when asked
        """False on a standalone server, and without the right to open a change stream."""
        return self._watch.supported

    @property
    def hints_are_prompt(self) -> bool:  # type: ignore[override]  # it is found out when asked
        """False also behind a router, whose streams wait for the clocks of all shards."""
        return self._watch.supported and not self._routed

    @property
    def history_days(self) -> float:  # type: ignore[override]  # `setup()` finds it out
        """After how many days MongoDB removes settled jobs by itself."""
        return self._history.database_days

    # --- life ---------------------------------------------------------------------------------

    async def setup(self) -> None:
        """Connect, create and verify what the store needs; safe from many processes at once."""
        try:
            hello = await self._answer(self._workers.hello())
            days = await self._answer(prepare(self._handles, hello, self._logger))
        except (StoreUnavailableError, StoreSetupError):
            raise
        except StoreError as error:
            raise StoreSetupError(str(error)) from error
        self._routed = hello.get("msg") == "isdbgrid"
        self._history.database_days = days
        self._hinting.trust_again()
        await self.look_at_validator()

    async def look_at_validator(self) -> None:
        """Bring `refuses_own_fields` up to date."""
        self.refuses_own_fields = await self._answer(is_of_node(self._handles))

    async def close(self) -> None:
        """Close the change stream, and the client unless it was passed in."""
        await self._watch.close()
        if self._connection.owned:
            with pymongo.timeout(CLOSE_TIMEOUT):
                await self._connection.database.client.close()

    async def ping(self) -> datetime:
        """Return the database's present time."""
        return await self._answer(self._workers.now())

    def subscribe(self, listener: HintListener) -> Callable[[], None]:
        """Call `listener` after our own writes and, as the change stream tells, those of others."""
        return self._watch.subscribe(of_hints(listener))

    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Call `listener` with the jobs that our own writes and, by the stream, others settle."""
        return self._watch.subscribe(of_ends(listener))

    def node_side(self) -> NodeSide:
        """Return what a move away from the Node package looks at and changes."""
        return MongoNodeSide(self._handles, self._reading, self.address)

    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a client of its own for the heartbeat.

        From a passed database whose options cannot be found out there can be none: StoreError.
        """
        options = self._connection.options
        if options is None:
            raise StoreError(
                f"{self.address}: this version of pymongo does not tell how its client was made, "
                "so heartbeats go through the event loop: a handler that blocks it looks like a "
                "dead worker; pass db as a URL instead"
            )
        names = self._handles.database.name, self._handles.workers.name
        return ThreadPulse(options, *names, self.address, patience)

    # --- jobs: made, claimed, settled -----------------------------------------------------------

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Absent → as given, in one bulk write; return those refused."""
        refused = await self._answer(self._jobs.insert(jobs))
        if len(refused) < len(jobs):
            self._watch.notify(*told((job.id, job.status) for job in jobs))
        return refused

    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Absent → as given, as a part of the caller's transaction."""
        await self._transactions.insert(session, jobs)

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""
        return await self._answer(self._unique_keys.find_holder(name, unique_key))

    async def release_key(self, holder: SimpleJob) -> None:
        """Holding its unique key in the very state that was read → without it."""
        await self._answer(self._unique_keys.release(holder))

    async def replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        """Pending and holding its unique key → with payload, times and priority of `job`."""
        replaced = await self._answer(self._unique_keys.replace(holder, job))
        if replaced is not None:
            self._watch.notify(Hint.WORK)
        return replaced

    async def claim(self, claim: Claim) -> list[Job]:
        """Pending or paused, due, of these names, not excluded → running under the worker."""
        return await self._answer(self._claims.claim(claim))

    async def next_due(self, names: Collection[str]) -> datetime | None:
        """Return the earliest `scheduled_for` of pending or paused jobs of these names."""
        return await self._answer(self._claims.next_due(names))

    async def settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Running, under the fence's worker and at its attempt → the outcome's state."""
        verdict = await self._answer(self._settlements.settle(settlements))
        if verdict.won:
            self._watch.notify(*told((each.job.id, each.outcome.status) for each in settlements))
        return verdict

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> dict[ObjectId, str]:
        """Running, under its worker and at its attempt → the same, with these notes."""
        return await self._answer(self._records.save_notes(noted)) if noted else {}

    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under its worker and at its attempt → the same, with this state."""
        return await self._answer(self._records.save_state(job, state))

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        return await self._answer(self._records.state(job_id))

    async def requeue(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Settled → pending, due now; None when it is not settled."""
        job = await self._answer(self._jobs.requeue(job_id, now))
        if job is not None:
            self._watch.notify(Hint.WORK)
        return job

    async def runs_of(
        self,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId] = (),
        *,
        unconfirmed: bool = False,
    ) -> list[Job]:
        """Return what is running under this worker's id and not in `exclude`, at most `limit`."""
        runs = self._workers.runs_of(worker_id, limit, exclude, unconfirmed=unconfirmed)
        return await self._answer(runs)

    async def move_runs(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Running under `old` → running under `new`; return all ids running under `new`."""
        return await self._answer(self._workers.move_runs(old, new))

    # --- kill -----------------------------------------------------------------------------------

    async def kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Pending, paused or running under no worker → killed; None in other states."""
        killed = await self._answer(self._signals.kill_waiting(job_id, now))
        if killed is not None:
            self._watch.notify(Hint.SETTLED, [job_id])
        return killed

    async def request_kill(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a kill request for a running job; twice is harmless."""
        await self._answer(self._signals.request_kill(job_id, worker_id, now))
        self._watch.notify(Hint.KILL)

    async def kill_requests(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that have an unacknowledged kill request."""
        return await self._answer(self._signals.kill_requests(job_ids))

    async def acknowledge_kills(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the kill requests of those of these jobs that are settled or gone as done."""
        await self._answer(self._signals.acknowledge_kills(job_ids))

    # --- workers --------------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo) -> None:
        """Absent → registered, its `last_seen` the database's present time; or refresh it."""
        await self._answer(self._workers.register(worker))
        self._turns.join(worker)

    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set the `lastSeen` of a registration; False when there is none."""
        return await self._answer(self._workers.beat(worker_id, memory, clock_ahead))

    async def unregister(self, worker_id: ObjectId) -> None:
        """Registered → absent; nothing when it is gone."""
        self._turns.leave(worker_id)
        await self._answer(self._workers.unregister(worker_id))

    async def registrations(self) -> Registrations:
        """Return all registered workers with the database's present time."""
        registrations = await self._answer(self._workers.registrations())
        self._turns.see(
            [each for each in registrations.workers if not each.is_dead(registrations.now)]
        )
        return registrations

    async def running_worker_ids(self) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""
        return await self._answer(self._workers.running_worker_ids())

    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Registered, with the very `last_seen` that was read → absent; False when it moved on."""
        return await self._answer(self._workers.remove_dead(worker))

    # --- crons ----------------------------------------------------------------------------------

    async def crons(self) -> list[Cron]:
        """Return all crons of the database, by name."""
        return await self._answer(self._crons.all())

    async def create_cron(self, cron: Cron) -> bool:
        """Absent → as given; False when a cron of this name is there."""
        return await self._answer(self._crons.create(cron))

    async def update_cron(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a cron's pointer, only if expression and pointer are still those of `cron`."""
        return await self._answer(self._crons.update(cron, cron_string, scheduled_for, now))

    async def remove_cron(self, name: str) -> None:
        """Present → absent, together with its pending occurrences that were planned by us."""
        await self._answer(self._crons.remove(name))

    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Pending cron tasks later than `after` → absent; return how many."""
        return await self._answer(self._crons.remove_occurrences(name, after, keep))

    async def skip_waiting(self, name: str, now: datetime) -> int:
        """Pending or paused cron tasks of this name → skipped, for `other`; return how many."""
        skipped = await self._answer(self._crons.skip_waiting(name, now))
        if skipped:
            self._watch.notify(Hint.SETTLED)
        return skipped

    async def planned_by_node(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments for which the Node package has made an occurrence."""
        return await self._answer(self._crons.planned_by_node(name, moments))

    async def remove_planned_by_node(self, name: str, moment: datetime) -> None:
        """Pending occurrences that the Node package has made for this moment → absent."""
        await self._answer(self._crons.remove_planned_by_node(name, moment))

    async def give_cron(self, cron: Cron) -> bool:
        """Ours, at this expression and pointer → the Node package's; False when it had changed."""
        return await self._answer(self._crons.give(cron))

    # --- settings -------------------------------------------------------------------------------

    async def settings(self, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind, by name."""
        return await self._answer(self._settings.of_kind(kind))

    async def put_setting(
        self, kind: str, name: str, value: Setting, expected: Setting | None
    ) -> bool:
        """Replace a setting if it still equals `expected` (None: if absent); False if it lost."""
        done = await self._answer(self._settings.put(kind, name, value, expected))
        self._watch.notify(Hint.SETTINGS)
        return done

    async def remove_setting(self, kind: str, name: str, expected: Setting | None = None) -> bool:
        """Present, and equal to `expected` where that is given → absent; False when it is not."""
        done = await self._answer(self._settings.remove(kind, name, expected))
        self._watch.notify(Hint.SETTINGS)
        return done

    async def last_settings(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""
        return await self._answer(self._settings.last_of_kind(kind, limit))

    async def remove_settings_before(self, kind: str, name: str) -> None:
        """Present → absent, for all settings of a kind whose names come before one."""
        await self._answer(self._settings.remove_before(kind, name))
        self._watch.notify(Hint.SETTINGS)

    # --- reading --------------------------------------------------------------------------------

    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        return await self._answer(self._reading.get(job_id))

    async def get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist, in no order."""
        return await self._answer(self._reading.get_many(job_ids))

    async def states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist."""
        return await self._answer(self._reading.states_of(job_ids))

    async def find(self, query: JobQuery) -> list[Job]:
        """Return a selection of jobs and cron tasks by id, newest first, at most its `limit`."""
        return await self._answer(self._reading.find(query))

    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name."""
        return await self._answer(self._reading.find_active(type, name))

    async def find_summaries(
        self, query: JobQuery, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of a selection."""
        return await self._answer(self._reading.find_summaries(query, redaction))

    async def queue(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str] = (),
        redaction: Redaction | None = None,
    ) -> list[JobSummary]:
        """Return what a list shows of the due jobs and cron tasks, the earliest first."""
        return await self._answer(self._reading.queue(now, limit, leaving_out, redaction))

    async def summaries_of_runs(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what runs under a worker's id."""
        return await self._answer(self._reading.summaries_of_runs(worker_id, limit, redaction))

    async def latest(
        self,
        names: Sequence[tuple[JobType, str]],
        limit: int,
        redaction: Redaction | None = None,
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name."""
        return await self._answer(self._reading.latest(names, limit, redaction))

    async def count_alive(self) -> int:
        """Count the registered workers that are alive."""
        _, _, alive = await self._answer(self._workers.counts())
        return alive

    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time."""
        now, workers, alive = await self._answer(self._workers.counts())
        due_since = await self._answer(self._reading.due_since(now, leaving_out))
        return Vitals(now, workers, alive, due_since)

    async def names(self, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct (type, name) of stored jobs, at most `limit`."""
        return await self._answer(self._reading.names(limit))

    async def count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None = None,
    ) -> list[NameCount]:
        """Count the jobs of each name in each state, each count exact up to `cap`."""
        return await self._answer(self._reading.count(names, cap, statuses))

    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Return how many jobs a selection has, exact up to `cap`."""
        return await self._answer(self._reading.count_matching(query, cap))

    async def delete(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Present and not running → absent; return which are gone now and were there."""
        return await self._answer(self._jobs.delete(job_ids))

    async def add_rollups(self, rollups: Sequence[Rollup]) -> None:
        """Absent or present → with these counts added."""
        if rollups:
            await self._answer(self._rollups.add(rollups))

    async def rollups(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later."""
        return await self._answer(self._rollups.since(seconds, since))

    async def prune(self, before: datetime, limit: int) -> int:
        """Settled before this time → absent; at most `limit`, return how many."""
        await self._answer(self._rollups.prune(datetime.now(UTC)))
        await self._answer(self._signals.prune())
        return await self._answer(self._history.prune(before, limit))

    async def _answer(self, call: Awaitable[T]) -> T:
        """Await what the driver answers; its errors become ours."""
        try:
            return await call
        except DRIVER_ERRORS as error:
            raise translate(error, self.address) from error
