"""What is read of values that somebody else may have written: each as what it should be, or absent.

A later version, the Node package, a script: whatever stands in the database takes nothing down. A
value of another kind counts as one that is missing, and a text is made of one that is to be shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms
from job_processor.models import JobStatus, OnParentFailure

_STATUSES: Mapping[str, JobStatus] = {status.value: status for status in JobStatus}
_INT64 = 2**63


def status_of(value: object) -> JobStatus:
    """Return a state; one that this version does not know is only a text."""
    known = _STATUSES.get(value) if isinstance(value, str) else None
    return known if known is not None else _unknown(text_of(value))


@lru_cache(maxsize=64)
def _unknown(value: str) -> JobStatus:
    status = str.__new__(JobStatus, value)
    status._name_ = status._value_ = value
    return status


def text_of(value: object) -> str:
    """Return a text as such, and a text of anything else."""
    return value if isinstance(value, str) else str(value)


def texts_of(value: object) -> tuple[str, ...]:
    """Return the texts of a list."""
    return tuple(each for each in list_of(value) if isinstance(each, str))


def rule_of(value: object) -> OnParentFailure | None:
    """Return what follows for a job when one that it comes after fails; None: it is skipped."""
    return "run" if value == "run" else "wait" if value == "wait" else None


def text_or_none(value: object) -> str | None:
    """Return a text as such, None as such, and a text of anything else."""
    return value if value is None or isinstance(value, str) else str(value)


def whole(value: object, absent: Any = None) -> Any:
    """Return a whole number as such; a number that is one too; `absent` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _INT64:
        return int(value)  # what JavaScript has written
    return absent


def number(value: object) -> float | None:
    """Return a finite number as such, None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None


def moment(value: object) -> datetime | None:
    """Return a time, also of milliseconds; None for what is none within the years 1 to 9999."""
    if isinstance(value, datetime):
        return value
    try:
        return from_ms(value) if isinstance(value, int) else None
    except OverflowError:
        return None


def id_of(value: object) -> ObjectId | None:
    """Return an id as such, None for anything else."""
    return value if isinstance(value, ObjectId) else None


def list_of(value: object) -> list[Any]:
    """Return a list as such, an empty one for anything else."""
    return value if isinstance(value, list) else []


def fields_of(value: object) -> Mapping[str, Any]:
    """Return a mapping as such, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
