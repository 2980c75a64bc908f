"""A schedule that was made at run time, as a database keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.schedule import interval_expression
from job_processor.store.lenient import texts_of

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is to be made, when, and how far that has come. Times are aware, in UTC."""

    name: str
    """What it is known by."""
    job: str
    """The name of the jobs that it makes."""
    payload: Mapping[str, Any] | None = None
    """What each of them gets, as it is stored."""
    cron: str | None = None
    """The cron expression; None: it has an interval."""
    every: timedelta | None = None
    """From one moment to the next; None: it has a cron expression."""
    anchor: datetime | None = None
    """One of the moments of `every`, where that was given."""
    timezone: str = "UTC"
    """IANA name, of the cron expression."""
    start: datetime | None = None
    """No moment before it."""
    end: datetime | None = None
    """No moment after it."""
    limit: int | None = None
    """As many jobs as it makes; None: without end."""
    misfire: str = "once"
    """What follows missed moments: `once`, `skip` or `all`, as of a cron."""
    priority: int = 0
    expires_after: float | None = None
    """Seconds after its moment from which on a job does not begin any more."""
    unique_key: str | None = None
    """Of the jobs: while one that waits or runs holds it, the next is stored as skipped."""
    limit_key: str | float | None = None
    """Of the jobs: the key of their limit."""
    labels: tuple[str, ...] = ()
    """Of the jobs: what they can be found by."""

    rev: int = 1
    """Number of its definition: one more with each change."""
    paused: bool = False
    next: datetime | None = None
    """The next moment; one in the past is due. None: it has ended."""
    last: datetime | None = None
    """The moment of the last job that it made."""
    last_job: ObjectId | None = None
    """The id of that job."""
    made: int = 0
    """Jobs that it made."""
    problem: str | None = None
    """Why it made none the last time, or was paused by itself; None: it did."""
    created_at: datetime
    """When it was put first; without `anchor` and `start`, `every` counts from it."""
    updated_at: datetime
    """When its definition was changed last, or it was paused or resumed."""
    ended_at: datetime | None = None
    """When it was seen to have no further moment."""

    moved_at: datetime
    """When `next` was computed, by the clock of whoever did it."""
    again: int = 0
    again_until: datetime | None = None
    """Up to this moment jobs were made before their time, by a clock that was ahead, and are made
    again: so many milliseconds later, which tells them apart."""
    token: ObjectId = field(default_factory=ObjectId, compare=False, repr=False)
    """Of the last write, whoever it was: only who knows it may write next."""
    stored: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The values as they were read, with what a later version keeps in them."""

    @property
    def expression(self) -> str:
        """When its moments are, as `next_occurrence` takes it."""
        if self.every is None:
            return self.cron or ""
        return interval_expression(self.every, self.anchor or self._first())

    @property
    def when(self) -> str:
        """When its moments are, for people."""
        return self.expression if self.cron is None else f"{self.cron} in {self.timezone}"

    @property
    def due(self) -> datetime | None:
        """When somebody has to look at it; None: it is paused, or has ended."""
        return None if self.paused else self.next

    def _first(self) -> datetime:
        """Return what an interval counts from where no anchor is given, a whole second.

        `start` itself is a moment, so it is not cut; its making is none.
        """
        if self.start is None:
            return self.created_at
        return self.start + (_SECOND - timedelta(microseconds=1))

    def values(self) -> dict[str, Any]:
        """Return it as plain values, without those that say nothing."""
        kept = {
            each: value
            for each in _STORED
            if (value := getattr(self, each)) is not None and value != _DEFAULTS.get(each)
        }
        if self.every is not None:
            kept["every"] = int(self.every.total_seconds())
        if self.labels:
            kept["labels"] = list(self.labels)
        others = {name: value for name, value in self.stored.items() if name not in _STORED}
        return {**others, **kept}

    @classmethod
    def of(cls, values: Mapping[str, Any], token: ObjectId) -> Schedule:
        """Read it back."""
        known: dict[str, Any] = {each: values[each] for each in _STORED if each in values}
        if known.get("every") is not None:
            known["every"] = known["every"] * _SECOND
        known["labels"] = texts_of(known.get("labels"))
        return cls(**known, token=token, stored=values)


_STORED = tuple(each.name for each in fields(Schedule) if each.name not in ("token", "stored"))
_DEFAULTS = {"misfire": "once", "timezone": "UTC", "priority": 0, "made": 0, "again": 0, "rev": 1}
_DEFAULTS |= {"paused": False, "labels": ()}


def planned_id(name: str, moment: datetime) -> ObjectId:
    """Return the id of the job of a schedule's moment, the same wherever it is computed.

    Its first four bytes are the moment in seconds, as in every ObjectId.
    """
    digest = sha256(f"schedule\n{to_ms(moment)}\n{name}".encode()).digest()
    return ObjectId((int(moment.timestamp()) & 0xFFFFFFFF).to_bytes(4, "big") + digest[:8])
