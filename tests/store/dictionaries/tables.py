"""What is kept in dictionaries, and what such a database sees to by itself.

That is: one reader or writer at a time, copies instead of what a caller holds, its own clock, and
two unique indexes over the jobs. Whoever writes for a real database finds there what stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Any, TypeAlias

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import NotSetUpError, PayloadError, StoreRefusedError
from job_processor.models import (
    ACTIVE,
    AnyJob,
    Cron,
    Job,
    Message,
    Notes,
    SimpleJob,
    WorkerInfo,
)
from job_processor.store.base import Store
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.settings import Setting
from job_processor.store.error_groups import ErrorGroup
from job_processor.store.groups import GroupRecord
from job_processor.store.hints import HintListeners, Tell
from job_processor.store.lanes import IN_LINE_TOO, holds_slot, is_apart
from job_processor.store.name_rollups import NameRollup
from job_processor.store.plain import plain_notes
from job_processor.store.rates import Lane
from job_processor.store.rollups import Rollup
from job_processor.store.schedules import Schedule
from job_processor.values import normalize

Key: TypeAlias = tuple[str, ...]


class TakenError(Exception):
    """Another job has the place in a unique index that this one wants."""


class JobTable(Mapping[ObjectId, Job]):
    """The jobs by their ids; `write` is the only way to add or to change one."""

    def __init__(self) -> None:
        self._rows: dict[ObjectId, Job] = {}
        self._holders: dict[Key, ObjectId] = {}
        """The unique indexes: who is active and exclusive, and who holds a unique key."""

    def __getitem__(self, job_id: ObjectId) -> Job:
        return self._rows[job_id]

    def __iter__(self) -> Iterator[ObjectId]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def write(self, job: Job) -> None:
        """Absent or present → as given; raises TakenError where a unique index refuses it."""
        keys = list(_keys(job))
        if any(self._holders.get(key, job.id) != job.id for key in keys):
            raise TakenError(job.id)
        self.remove(job.id)
        self._rows[job.id] = job
        self._holders |= dict.fromkeys(keys, job.id)

    def remove(self, job_id: ObjectId) -> None:
        """Present → absent; nothing when it is gone."""
        job = self._rows.pop(job_id, None)
        for key in _keys(job) if job is not None else ():
            del self._holders[key]

    def holder(self, name: str, unique_key: str) -> Job | None:
        """Return the job that holds a unique key of a name."""
        job_id = self._holders.get(("key", name, unique_key))
        return None if job_id is None else self._rows[job_id]


def _keys(job: Job) -> Iterator[Key]:
    """Give a job's places in the unique indexes."""
    active = job.status in ACTIVE
    if job.exclusive and active:
        yield "exclusive", job.type, job.name
    if isinstance(job, SimpleJob) and job.unique_key and (active or job.unique_until):
        yield "key", job.name, job.unique_key
    if job.slot is not None and holds_slot(job):
        yield "slot", job.slot


class Tables:
    """All that one database keeps."""

    def __init__(self) -> None:
        self.lock = Lock()
        """Whoever holds it is alone: a heartbeat comes from a thread of its own."""
        self.are_made = False
        """True once somebody has set them up."""
        self.jobs = JobTable()
        self.admitted: dict[ObjectId, datetime] = {}
        """The places in line of those that did not come there at their own time."""
        self.dates: dict[ObjectId, datetime] = {}
        """The same of those that wait for a start of a rate."""
        self.states: dict[ObjectId, Any] = {}
        """What runs have saved, by job."""
        self.kills: set[ObjectId] = set()
        """The jobs that are to be killed."""
        self.workers: dict[ObjectId, WorkerInfo] = {}
        self.crons: dict[str, Cron] = {}
        self.settings: dict[tuple[str, str], Setting] = {}
        """By kind and name."""
        self.rollups: dict[tuple[int, datetime], Rollup] = {}
        self.name_rollups: dict[tuple[str, int, datetime, str], NameRollup] = {}
        self.errors: dict[tuple[datetime, str], list[ErrorGroup]] = {}
        """By the length of their span and its beginning."""
        self.lanes: dict[str, Lane] = {}
        self.schedules: dict[str, Schedule] = {}
        """By name."""
        self.messages: dict[str, Message] = {}
        """By name."""
        self.groups: dict[ObjectId, GroupRecord] = {}
        self.listeners = HintListeners()
        """Whoever is to be told of changes, in any store."""

    def ready(self, job: Job) -> datetime:
        """Return the place of a job in its line."""
        if job.parked in IN_LINE_TOO:
            return self.dates.get(job.id, job.scheduled_for)
        return max(job.scheduled_for, self.admitted.get(job.id, job.scheduled_for))


class Connection:
    """A store's way to the tables: whoever is in its block is alone, and awaits nothing there.

    A block writes once nothing more can fail: what happens in it happens whole or not at all.
    """

    def __init__(self, tables: Tables, address: str) -> None:
        self._tables = tables
        self._address = address
        self._clock = Clock()
        self.closed = False

    def now(self) -> datetime:
        """Return the database's present time."""
        return self._clock.now()

    def __enter__(self) -> Tables:
        if self.closed:
            raise NotSetUpError(f"{self._address} was closed; nothing can be asked of it any more")
        self._tables.lock.acquire()
        return self._tables

    def __exit__(self, *_: object) -> None:
        self._tables.lock.release()

    async def __aenter__(self) -> Tables:
        await asyncio.sleep(0)  # a database takes its time: meanwhile others get their turn
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


class OnTables(Desk):
    """A desk of this database: what one of any other has, and the connection."""

    def __init__(self, connection: Connection, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self._connection = connection


def is_in_line(job: Job) -> bool:
    """True for a job that waits in the line of a lane."""
    return is_apart(job) and (job.parked is None or job.parked in IN_LINE_TOO)


def own(job: AnyJob) -> AnyJob:
    """Return a copy of a job of which nobody else has any part that can be changed.

    What goes in and what comes out is one. Raises StoreRefusedError for what cannot be kept.
    """
    copied: dict[str, Any] = {"name": storable(job.name), "notes": own_notes(job.notes)}
    if job.output is not None:
        copied["output"] = replace(job.output, result=storable(job.output.result))
    if isinstance(job, SimpleJob):
        copied["payload"] = storable(job.payload)
    return replace(job, **copied)


def own_notes(notes: Notes | None) -> Notes | None:
    """Return what a run has told; raises StoreRefusedError where it cannot be kept."""
    storable(None if notes is None else plain_notes(notes))
    return notes


def storable(value: Any) -> Any:
    """Return a copy of plain values; raises StoreRefusedError where a database cannot keep them."""
    try:
        return normalize(value, "value")
    except PayloadError as error:
        raise StoreRefusedError(str(error)) from error
