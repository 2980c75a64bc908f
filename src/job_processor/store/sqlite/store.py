"""The embedded store: one SQLite file for several processes of one machine, or memory for one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bson import ObjectId

from job_processor.errors import JobConflictError, StoreError
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
from job_processor.settings import LOOKS_AT_A_TIME
from job_processor.store.base import (
    ANYTHING,
    EndListener,
    Hint,
    HintListener,
    Pulse,
    Setting,
    State,
    Store,
)
from job_processor.store.hints import HintListeners, Listener, of_ends, of_hints, told
from job_processor.store.requests import Claim, JobQuery, NameCount, Settlement, Verdict
from job_processor.store.rollups import Rollup
from job_processor.store.sqlite import schema
from job_processor.store.sqlite.callers import write_in
from job_processor.store.sqlite.crons import Crons
from job_processor.store.sqlite.database import Database
from job_processor.store.sqlite.errors import explain_setup
from job_processor.store.sqlite.history import Reading
from job_processor.store.sqlite.intake import Inserts
from job_processor.store.sqlite.kills import Signals
from job_processor.store.sqlite.link import Link
from job_processor.store.sqlite.location import Location
from job_processor.store.sqlite.pulse import FilePulse, MemoryPulse
from job_processor.store.sqlite.queue import Claims
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.rollups import Rollups
from job_processor.store.sqlite.runs import Jobs
from job_processor.store.sqlite.settings import Settings
from job_processor.store.sqlite.summaries import Summaries
from job_processor.store.sqlite.tables import Tables
from job_processor.store.sqlite.unique_keys import UniqueKeys
from job_processor.store.sqlite.watch import Watch
from job_processor.store.sqlite.workers import Workers
from job_processor.store.summaries import JobSummary

PRUNE_BATCH = 200
"""Jobs that one transaction removes: it keeps other writers waiting for a few milliseconds."""


class SqliteStore(Store):
    """Keeps everything in an SQLite file, or in memory when `path` is None.

    synchronous: `normal` survives the death of any process, `full` and `extra` a power cut too.
    prefix: of the names of our tables; the file may hold those of an application, too.

    A worker's own statements go through one connection, single jobs are read through another, lists
    through a third, and what looks through jobs has its own: no page keeps a claim waiting, or who
    waits for a job.
    """

    def __init__(
        self,
        path: str | Path | None,
        *,
        synchronous: str = "normal",
        prefix: str = "job_processor",
    ) -> None:
        self._location = Location(None if path is None else Path(path).absolute(), synchronous)
        self.address = self._location.address
        self.needs_heartbeat = path is not None
        tables = Tables(prefix)
        self._tables = tables
        self._link = Link(self._location, create=True)
        self._writer = Database("job-processor-sqlite-writer", self.address, self._link)
        self._reader = self._database("reader")
        self._pages = self._database("pages")
        self._searchers = [self._database(f"search-{n}") for n in range(LOOKS_AT_A_TIME)]
        self._revision = Revision(tables)
        self._inserts = Inserts(tables)
        self._unique_keys = UniqueKeys(tables, self._revision)
        self._jobs = Jobs(tables, self._revision)
        self._claims = Claims(tables)
        self._summaries = Summaries(tables)
        self._reading = Reading(tables, self._summaries)
        self._signals = Signals(tables, self._revision)
        self._workers = Workers(tables)
        self._crons = Crons(tables, self._revision)
        self._settings = Settings(tables, self._revision)
        self._rollups = Rollups(tables)
        self._listeners = HintListeners()
        self._watch: Watch | None = None

    def _database(self, name: str) -> Database:
        """Return another connection, to read with; what is in memory has only one."""
        if self._location.path is None:
            return self._writer
        link = Link(self._location, read_only=True)
        return Database(f"job-processor-sqlite-{name}", self.address, link)

    def _of(self, query: JobQuery) -> Database:
        """Return the connection for a selection."""
        if not query.looks_through:
            return self._pages
        self._searchers.append(self._searchers.pop(0))  # in turn
        return self._searchers[0]

    # --- life ---------------------------------------------------------------------------------

    async def setup(self) -> None:
        """Make the file and its tables where they are missing, and verify them."""
        self._location.check_folder()
        is_file = self._location.path is not None
        try:
            await self._writer.call(schema.setup, self._tables, self.address, is_file)
        except StoreError as error:
            raise explain_setup(error) from error
        self._link.create = False

    async def close(self) -> None:
        """Finish what was asked for, then close the connections."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.stop()
        opened = {self._reader, self._pages, *self._searchers, self._writer}
        await asyncio.gather(*(database.close() for database in opened))

    async def ping(self) -> datetime:
        """Return the database's present time."""
        return await self._writer.call(self._workers.now)

    def subscribe(self, listener: HintListener) -> Callable[[], None]:
        """Tell `listener` of our own writes at once, and of those of others once they are seen."""
        return self._listen(of_hints(listener))

    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Tell `listener` which jobs we settle; what others write may be any."""
        return self._listen(of_ends(listener))

    def _listen(self, listener: Listener) -> Callable[[], None]:
        forget = self._listeners.add(listener)
        wal = self._location.wal
        if self._watch is None and wal is not None:
            has_changed = partial(self._writer.call, self._revision.has_changed)
            self._watch = Watch(wal, has_changed, lambda: self._listeners.emit(ANYTHING))

        def end() -> None:
            forget()
            if not self._listeners and self._watch is not None:
                self._watch.cancel()
                self._watch = None

        return end

    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a connection for the heartbeat; it waits for a busy file as long as all do."""
        del patience
        if self._location.path is None:
            return MemoryPulse(self._writer, self._workers)
        return FilePulse(self._location, self._workers)

    # --- jobs: made, claimed, settled -----------------------------------------------------------

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs in one transaction; return those that an active exclusive one refused."""
        if not jobs:
            return []
        # A single statement is an immediate transaction of its own.
        write = self._writer.call if len(jobs) == 1 else self._writer.transaction
        written = write(self._inserts.insert, jobs)
        hint, ended = told((job.id, job.status) for job in jobs)
        # Before it is written: the claim that follows stands behind it in the thread's queue.
        self._listeners.emit(hint & Hint.WORK)
        refused = await written
        self._listeners.emit(hint & ~Hint.WORK, ended)
        return refused

    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Insert jobs in the transaction of the caller's connection to the same file."""
        statement, rows = self._inserts.statement(jobs)
        if await write_in(session, self._location.path, statement, rows) < len(rows):
            raise JobConflictError.in_transaction(jobs)

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""
        return await self._writer.call(self._unique_keys.find_holder, name, unique_key)

    async def release_key(self, holder: SimpleJob) -> None:
        """Take its key from a job that still stands as it was read."""
        await self._writer.call(self._unique_keys.release, holder)

    async def replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        """Give a job that waits with its unique key what another one asks for."""
        replaced = await self._writer.transaction(self._unique_keys.replace, holder, job)
        if replaced is not None:
            self._listeners.emit(Hint.WORK)
        return replaced

    async def claim(self, claim: Claim) -> list[Job]:
        """Move what is due to running; one statement when nothing is, two when something is."""
        return await self._writer.call(self._claims.claim, claim)

    async def next_due(self, names: Collection[str]) -> datetime | None:
        """Return when the first waiting job of these names is due."""
        return await self._writer.call(self._claims.next_due, names)

    async def settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Write outcomes in one transaction, each guarded; tell what became of each."""
        if not settlements:
            return Verdict()
        verdict = await self._writer.transaction(self._jobs.settle, settlements)
        self._listeners.emit(*told((each.job.id, each.outcome.status) for each in settlements))
        return verdict

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> dict[ObjectId, str]:
        """Write what runs have told, in one transaction, each guarded."""
        if not noted:
            return {}
        return await self._writer.transaction(self._jobs.save_notes, noted)

    async def save_state(self, job: Job, state: Any) -> bool:
        """Write the state of a run; False when it was taken away."""
        return await self._writer.call(self._jobs.save_state, job, state)

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        return await self._writer.call(self._jobs.state, job_id)

    async def requeue(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Let a settled job wait again; None when it is not settled."""
        job = await self._writer.transaction(self._jobs.requeue, job_id, now)
        if job is not None:
            self._listeners.emit(Hint.WORK)
        return job

    async def runs_of(
        self,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId] = (),
        *,
        unconfirmed: bool = False,
    ) -> list[Job]:
        """Return what runs under a worker's id, the excluded left out."""
        del unconfirmed  # what is written here is there at once for everybody
        return await self._writer.call(self._jobs.runs_of, worker_id, limit, exclude)

    async def move_runs(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Move what runs from one worker id to another; return all that runs under the new one."""
        return await self._writer.transaction(self._jobs.move_runs, old, new)

    # --- kill -----------------------------------------------------------------------------------

    async def kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Kill a job that waits, or that runs under nobody; None in other states."""
        killed = await self._writer.transaction(self._jobs.kill_waiting, job_id, now)
        if killed is not None:
            self._listeners.emit(Hint.SETTLED, [job_id])
        return killed

    async def request_kill(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a kill request for a running job."""
        await self._writer.transaction(self._signals.request_kill, job_id, worker_id, now)
        self._listeners.emit(Hint.KILL)

    async def kill_requests(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that somebody asked to kill."""
        if not job_ids:
            return set()
        return await self._writer.call(self._signals.kill_requests, job_ids)

    async def acknowledge_kills(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the kill requests of those of these jobs that are settled or gone as done."""
        if job_ids:
            await self._writer.transaction(self._signals.acknowledge_kills, job_ids)

    # --- workers --------------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo) -> None:
        """Add a registration, or refresh it."""
        await self._writer.call(self._workers.register, worker)

    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set the `last_seen` and the memory of a registration; False when there is none."""
        del clock_ahead  # its clock is the database's
        return await self._writer.call(self._workers.beat, worker_id, memory)

    async def unregister(self, worker_id: ObjectId) -> None:
        """Remove a registration."""
        await self._writer.call(self._workers.unregister, worker_id)

    async def registrations(self) -> Registrations:
        """Return all registrations with the database's time."""
        return await self._writer.call(self._workers.registrations)

    async def running_worker_ids(self) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""
        return await self._writer.call(self._jobs.running_worker_ids)

    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Remove a registration that has not moved since it was read."""
        return await self._writer.call(self._workers.remove_dead, worker)

    # --- crons ----------------------------------------------------------------------------------

    async def crons(self) -> list[Cron]:
        """Return all crons by name."""
        return await self._writer.call(self._crons.all)

    async def create_cron(self, cron: Cron) -> bool:
        """Add a cron; False when its name is there."""
        return await self._writer.call(self._crons.create, cron)

    async def update_cron(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a cron's pointer, if it has not moved since it was read."""
        return await self._writer.call(self._crons.update, cron, cron_string, scheduled_for, now)

    async def remove_cron(self, name: str) -> None:
        """Remove a cron with its pending occurrences that were planned by us."""
        await self._writer.transaction(self._crons.remove, name)

    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Remove the pending occurrences later than a time; return how many."""
        return await self._writer.transaction(self._crons.remove_occurrences, name, after, keep)

    async def skip_waiting(self, name: str, now: datetime) -> int:
        """Let what waits of a cron end as skipped."""
        skipped = await self._writer.transaction(self._crons.skip_waiting, name, now)
        if skipped:
            self._listeners.emit(Hint.SETTLED)
        return skipped

    # --- settings -------------------------------------------------------------------------------

    async def settings(self, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind by name."""
        return await self._writer.call(self._settings.all, kind)

    async def put_setting(
        self, kind: str, name: str, value: Setting, expected: Setting | None
    ) -> bool:
        """Replace a setting that still equals `expected`."""
        done = await self._writer.transaction(self._settings.put, kind, name, value, expected)
        self._listeners.emit(Hint.SETTINGS)
        return done

    async def remove_setting(self, kind: str, name: str, expected: Setting | None = None) -> bool:
        """Remove a setting, if it still equals `expected` where that is given."""
        done = await self._writer.transaction(self._settings.remove, kind, name, expected)
        self._listeners.emit(Hint.SETTINGS)
        return done

    async def last_settings(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""
        return await self._writer.call(self._settings.last, kind, limit)

    async def remove_settings_before(self, kind: str, name: str) -> None:
        """Remove the settings of a kind whose names come before one."""
        await self._writer.transaction(self._settings.remove_before, kind, name)
        self._listeners.emit(Hint.SETTINGS)

    # --- reading --------------------------------------------------------------------------------

    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task."""
        found = await self._reader.read(self._reading.get_many, [job_id])
        return found[0] if found else None

    async def get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist."""
        return await self._reader.read(self._reading.get_many, job_ids)

    async def states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist."""
        return await self._reader.read(self._reading.states_of, job_ids)

    async def find(self, query: JobQuery) -> list[Job]:
        """Return the newest jobs and cron tasks of a selection."""
        return await self._of(query).read(self._reading.find, query)

    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name."""
        return await self._reader.read(self._reading.find_active, type, name)

    async def find_summaries(
        self, query: JobQuery, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of the newest jobs and cron tasks of a selection."""
        return await self._of(query).read(self._reading.summaries, query, redaction)

    async def queue(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str] = (),
        redaction: Redaction | None = None,
    ) -> list[JobSummary]:
        """Return what a list shows of the due jobs and cron tasks, the earliest first."""
        return await self._pages.read(self._queue, now, limit, leaving_out, redaction)

    def _queue(
        self,
        connection: sqlite3.Connection,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        rows = self._claims.due_rows(connection, now, limit, leaving_out)
        return self._summaries.by_row(connection, rows, redaction)

    async def summaries_of_runs(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what runs under a worker's id."""
        return await self._pages.read(self._summaries.of_worker, worker_id, limit, redaction)

    async def latest(
        self,
        names: Sequence[tuple[JobType, str]],
        limit: int,
        redaction: Redaction | None = None,
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name."""
        return await self._pages.read(self._reading.latest, names, limit, redaction)

    async def count_alive(self) -> int:
        """Count the registered workers that are alive."""
        _, _, alive = await self._reader.read(self._workers.counts)
        return alive

    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time."""
        return await self._reader.read(self._vitals, leaving_out)

    def _vitals(self, connection: sqlite3.Connection, leaving_out: Collection[str]) -> Vitals:
        now, workers, alive = self._workers.counts(connection)
        return Vitals(now, workers, alive, self._claims.due_since(connection, now, leaving_out))

    async def names(self, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct types and names, in that order."""
        return await self._pages.read(self._reading.names, limit)

    async def count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None = None,
    ) -> list[NameCount]:
        """Count jobs by name and state, each count up to `cap`; what is 0 is left out."""
        return await self._pages.read(self._reading.count, names, cap, statuses)

    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Return how many jobs a selection has, exact up to `cap`."""
        return await self._of(query).read(self._reading.count_matching, query, cap)

    async def delete(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Remove jobs that do not run; return which."""
        if not job_ids:
            return set()
        return await self._writer.transaction(self._jobs.delete, job_ids)

    async def add_rollups(self, rollups: Sequence[Rollup]) -> None:
        """Add counts to those of their spans."""
        if rollups:
            await self._writer.transaction(self._rollups.add, rollups)

    async def rollups(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span from a time on."""
        return await self._pages.read(self._rollups.since, seconds, since)

    async def prune(self, before: datetime, limit: int) -> int:
        """Remove what was settled before a time, in small transactions; return how many."""
        await self._writer.call(self._signals.prune)
        await self._writer.call(self._rollups.prune)
        removed = 0
        while removed < limit:
            wanted = min(PRUNE_BATCH, limit - removed)
            batch = await self._writer.call(self._jobs.prune, before, wanted)
            removed += batch
            if batch < wanted:
                break
        return removed
