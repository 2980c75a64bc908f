"""The ids of jobs and crons: those that are derived, and those that callers give."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.errors import InvalidArgumentError


def occurrence_id(name: str, planned_for: datetime) -> ObjectId:
    """Return the id of a cron's occurrence, the same wherever it is computed.

    Its first four bytes are the planned time in seconds, as in every ObjectId.
    """
    digest = sha256(f"{to_ms(planned_for)}\n{name}".encode()).digest()
    return ObjectId((int(planned_for.timestamp()) & 0xFFFFFFFF).to_bytes(4, "big") + digest[:8])


def cron_id(name: str) -> ObjectId:
    """Return the id that we give a cron's own document, so that two creators make one."""
    return ObjectId(sha256(f"cron\n{name}".encode()).digest()[:12])


def object_id(value: object, argument: str = "job_id") -> ObjectId:
    """Return `value` as an ObjectId; raise InvalidArgumentError when it is none."""
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    raise InvalidArgumentError(argument, value, "allowed is an ObjectId or its 24 hex digits")
