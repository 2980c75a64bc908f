"""What a claim brings: of most jobs a few columns say all.

sqlite3 lets go of Python's lock, and takes it again, for each value that it reads. So of a plain
job only those are read in which it differs from others; all of any other job is read afterwards,
by its row, which nobody else changes while it runs here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.models import Job, JobStatus, SimpleJob, make
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Claim
from job_processor.store.sqlite.codec import decode
from job_processor.store.sqlite.reading import UNREADABLE, decoded, moment_or_epoch, to_jobs
from job_processor.store.sqlite.rows import COLUMNS, Row
from job_processor.store.sqlite.tables import Tables

_FEW = "id,name,payload,scheduled_for,created_at,updated_at,started_at,attempt,priority"
_ZERO = ("exclusive", "crashes", "sync")
_KNOWN = {*_ZERO, "type", "status", "worker_id"}


def _is_plain(few: str) -> str:
    """Return what is true of a job of which these columns say all."""
    known = _KNOWN.union(few.split(","))
    absent = ",".join(name for name in COLUMNS.split(",") if name not in known)
    zero = " AND ".join(f"{name}=0" for name in _ZERO)
    return f"type='simple' AND {zero} AND coalesce({absent}) IS NULL"


_IS_PLAIN = _is_plain(_FEW)
_PLACED = f"{_FEW},lane,slot"
_FRESH = "id,payload,scheduled_for,created_at,priority"
_IS_FRESH = f"{_IS_PLAIN} AND attempt=1 AND started_at=?5 AND updated_at=?5"
"""Of a plain job that never ran, and whose clock was ours; ?5 is the moment of the claim."""
_OF_LINE = "id,payload,scheduled_for,created_at,updated_at,slot"
_IS_PLACED = _is_plain(_PLACED)
_IS_OF_LINE = f"{_IS_PLACED} AND attempt=1 AND started_at=updated_at"
"""Of a plain job in a lane that never ran."""


class Shape:
    """The columns that a claim brings, and their order.

    The last one is the row of a job of which the others do not say all, as they do of `simple`.
    """

    def __init__(self, columns: str, simple: str = _IS_PLAIN) -> None:
        place = columns.split(",").index
        self.columns = f"{columns},CASE WHEN {simple} THEN NULL ELSE rowid END"
        self.by_time: Callable[[Row], Any] = itemgetter(place("scheduled_for"), place("id"))
        self.by_priority: Callable[[Row], Any] | None = None
        """None where all have the same."""
        if "priority" in columns:
            self.by_priority = itemgetter(place("priority"))


FEW, ALL, FRESH = Shape(_FEW), Shape(COLUMNS), Shape(_FRESH, _IS_FRESH)
"""For plain jobs, for where most are others (those would be read twice), for what comes together.
"""


PLACED, ALL_PLACED = (Shape(each, _IS_PLACED) for each in (_PLACED, COLUMNS))
"""The same for plain jobs in lanes, and for where most of those are others."""
OF_LINE, ALL_OF_LINE = (Shape(each, _IS_OF_LINE) for each in (_OF_LINE, COLUMNS))
"""For those of one name, priority and lane, of which each runs for the first time."""


class FreshRows(Fresh):
    """What a claim of `FRESH` has brought that is fresh."""

    def __init__(self, claim: Claim, rows: Sequence[Row]) -> None:
        super().__init__(claim.names[0], claim.worker_id, claim.now)
        self._rows = rows
        self._keys = [row[0] for row in rows]

    @property
    def keys(self) -> Sequence[bytes]:
        """The bytes of their ids."""
        return self._keys

    def payloads(self) -> list[Any]:
        """Return their payloads, of which all are decoded at once."""
        texts = [row[1] or "null" for row in self._rows]
        try:
            found = decode(f"[{','.join(texts)}]")
        except UNREADABLE:  # one is not ours
            found = []
        if len(found) == len(texts):
            return list(found)
        return [None if row[1] is None else decoded(row[1]) for row in self._rows]

    def scheduled(self) -> Iterable[datetime]:
        """Give the moments for which they were scheduled."""
        return (moment_or_epoch(row[2]) for row in self._rows)

    def _jobs(self) -> list[Job]:
        at = to_ms(self.claimed_at)
        rows = [
            (key, self.name, payload, scheduled_for, created_at, at, at, 1, priority, None)
            for key, payload, scheduled_for, created_at, priority, _ in self._rows
        ]
        return plain_jobs(rows, self.worker_id)


class Bringing:
    """Makes jobs of what claims of one kind bring. What came last decides how the next are read."""

    def __init__(self, tables: Tables, few: Shape, every: Shape) -> None:
        self.few, self.every = few, every
        self.shape = few
        self._whole = f"""
            SELECT {COLUMNS} FROM {tables.jobs} NOT INDEXED
            WHERE rowid IN (SELECT value FROM json_each(?))"""

    def jobs(
        self,
        connection: sqlite3.Connection,
        rows: list[Row],
        simple: Callable[[Sequence[Row]], list[Job]],
    ) -> list[Job]:
        """Return the jobs of what was claimed by the present shape; `simple` makes those it says.

        Those with the highest priority first, and of these the longest wait.
        """
        shape = self.shape
        rows.sort(key=shape.by_time)
        if shape.by_priority is not None:
            rows.sort(key=shape.by_priority, reverse=True)  # what is equal stays in that order
        others = [row[-1] for row in rows if row[-1] is not None]
        self.shape = self.every if 2 * len(others) > len(rows) else self.few
        if shape is self.every:
            return to_jobs([row[:-1] for row in rows])
        if not others:
            return simple(rows)
        jobs = simple([row for row in rows if row[-1] is None])
        jobs += to_jobs(connection.execute(self._whole, (json.dumps(others),)).fetchall())
        of_id = {job.id.binary: job for job in jobs}
        return [of_id[row[0]] for row in rows if row[0] in of_id]


def placed_jobs(rows: Sequence[Row], worker_id: ObjectId) -> list[Job]:
    """Return the jobs of what a claim of `PLACED` has brought for a worker."""
    jobs = plain_jobs([(*row[:-3], None) for row in rows], worker_id)
    for job, row in zip(jobs, rows, strict=True):
        fields = job.__dict__  # nobody has it yet
        fields["lane"], fields["slot"] = row[-3], row[-2]
    return jobs


def jobs_of_line(
    name: str, priority: int, lane: str, rows: Sequence[Row], worker_id: ObjectId
) -> list[Job]:
    """Return the jobs of what a claim of `OF_LINE` has brought for a worker."""
    alike: dict[str, Any] = {
        "id": None,  # what each has for itself has its place here, so that no job's dict grows
        "name": name,
        "status": JobStatus.RUNNING,
        "payload": None,
        "scheduled_for": None,
        "created_at": None,
        "updated_at": None,
        "started_at": None,
        "worker_id": worker_id,
        "attempt": 1,
        "crashes": 0,
        "priority": priority,
        "lane": lane,
        "slot": None,
    }
    try:
        return [_job_of_line(row, alike, from_ms, decode) for row in rows]
    except UNREADABLE:  # one is not ours
        return [_job_of_line(row, alike, moment_or_epoch, decoded) for row in rows]


def _job_of_line(
    row: Row,
    alike: Mapping[str, Any],
    from_ms: Callable[[int], datetime],
    decode: Callable[[str], Any],
) -> SimpleJob:
    job_id, payload, scheduled_for, created_at, updated_at, slot, _ = row
    fields = {**alike}
    fields["id"] = ObjectId(job_id)
    if payload is not None:
        fields["payload"] = decode(payload)
    fields["scheduled_for"] = from_ms(scheduled_for)
    fields["created_at"] = from_ms(created_at)
    fields["updated_at"] = fields["started_at"] = from_ms(updated_at)
    fields["slot"] = slot
    return make(SimpleJob, fields)


def plain_jobs(rows: Sequence[Row], worker_id: ObjectId) -> list[Job]:
    """Return the plain ones of the jobs that a claim of `FEW` has brought for a worker."""
    plain = [row for row in rows if row[-1] is None]
    try:
        return [_job(row, worker_id, from_ms, decode) for row in plain]
    except UNREADABLE:  # one is not ours
        return [_job(row, worker_id, moment_or_epoch, decoded) for row in plain]


def _job(
    row: Row,
    worker_id: ObjectId,
    from_ms: Callable[[int], datetime],
    decode: Callable[[str], Any],
) -> SimpleJob:
    (
        job_id,
        name,
        payload,
        scheduled_for,
        created_at,
        updated_at,
        started_at,
        attempt,
        priority,
        _,
    ) = row
    fields = {
        "id": ObjectId(job_id),
        "name": name,
        "status": JobStatus.RUNNING,
        "scheduled_for": from_ms(scheduled_for),
        "created_at": from_ms(created_at),
        "updated_at": from_ms(updated_at),
        "started_at": from_ms(started_at),
        "worker_id": worker_id,
        "attempt": attempt,
        "crashes": 0,
        "priority": priority,
    }
    if payload is not None:
        fields["payload"] = decode(payload)
    return make(SimpleJob, fields)
