"""A job that is to leave its line in MongoDB: by what it was met, and what its write is guarded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId

from job_processor.handlers.lanes import has_key
from job_processor.models import FOR_A_SLOT
from job_processor.store.lanes import IN_LINE_TOO, KEYED, KEYLESS
from job_processor.store.lenient import whole
from job_processor.store.mongo.crowds import ABSENT, PRESENT, WAITING
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import DUPLICATE_KEY


class Start(NamedTuple):
    """A job that is to run, and the slot that it gets or has; None: it needs none."""

    job: Document
    slot: str | None


def slot_held(job: Document) -> str | None:
    """Return the slot that a job has."""
    slots = job.get("slots")
    return slots[0] if slots else None


def slots_set(slot: str | None) -> Document:
    """Return what gives a job a slot."""
    return {} if slot is None else {"slots": {"$literal": [slot]}}


def line_set(job: Document) -> Document:
    """Return the line of a job of a lane."""
    return {"$literal": (KEYED if has_key(job["lane"]) else KEYLESS) + job["name"]}


def turn_of(job: Document) -> tuple[int, datetime, ObjectId]:
    """Return by what it is told whose turn it is: the smallest is next."""
    return -whole(job.get("priority"), 0), job["due"], job["_id"]


def guard_of(start: Start) -> Document:
    """Match a job as it was met: still waiting, and with or without its slot."""
    waiting: Document = {"_id": start.job["_id"], "status": WAITING}
    if start.job.get("parked") in IN_LINE_TOO:  # a date is good for one start
        waiting |= {"slots": start.slot if slot_held(start.job) else ABSENT}
        return {**waiting, "parked": start.job["parked"], "ready": start.job["ready"]}
    if slot_held(start.job):
        return {**waiting, "slots": start.slot, "parked": None, "line": PRESENT}
    return {**waiting, "slots": ABSENT, "due": PRESENT, "parked": {"$in": [None, FOR_A_SLOT]}}


def is_taken(error: Mapping[str, Any]) -> bool:
    """True where somebody else was faster with a slot."""
    if error.get("code") != DUPLICATE_KEY:
        return False
    keys = error.get("keyPattern")
    return list(keys) == ["slots"] if keys else " index: slots " in str(error.get("errmsg", ""))
