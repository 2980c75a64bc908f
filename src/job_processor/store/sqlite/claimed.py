"""What a claim brings: of most jobs a few columns say all.

sqlite3 lets go of Python's lock, and takes it again, for each value that it reads. So of a plain
job only those are read in which it differs from others; all of any other job is read afterwards,
by its row, which nobody else changes while it runs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms
from job_processor.models import Job, JobStatus, SimpleJob, make
from job_processor.store.sqlite.codec import decode
from job_processor.store.sqlite.reading import UNREADABLE, decoded, moment_or_epoch
from job_processor.store.sqlite.rows import COLUMNS, Row

_FEW = "id,name,payload,scheduled_for,created_at,updated_at,started_at,attempt,priority"
_ZERO = ("exclusive", "crashes", "sync")
_KNOWN = {*_FEW.split(","), *_ZERO, "type", "status", "worker_id"}
_ABSENT = ",".join(name for name in COLUMNS.split(",") if name not in _KNOWN)
_IS_PLAIN = f"""type='simple' AND {" AND ".join(f"{name}=0" for name in _ZERO)}
    AND coalesce({_ABSENT}) IS NULL"""
_ROW_OF_OTHERS = f"CASE WHEN {_IS_PLAIN} THEN NULL ELSE rowid END"
"""The row of a job of which `_FEW` does not say all."""


class Shape:
    """The columns that a claim brings, the last of them `_ROW_OF_OTHERS`, and their order."""

    def __init__(self, columns: str) -> None:
        place = columns.split(",").index
        self.columns = f"{columns},{_ROW_OF_OTHERS}"
        self.by_time: Callable[[Row], Any] = itemgetter(place("scheduled_for"), place("id"))
        self.by_priority: Callable[[Row], Any] = itemgetter(place("priority"))


FEW, ALL = Shape(_FEW), Shape(COLUMNS)
"""For plain jobs, and for where most are others: those would be read twice."""


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
