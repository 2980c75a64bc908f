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
    """A schedule created with `put_schedule`: which job it stores, when, and its state.

    Times are aware, in UTC.
    """

    name: str
    """The name given to `put_schedule`."""
    job: str
    """The name of the job that it stores each time."""
    payload: Mapping[str, Any] | None = None
    """The payload of each job, as it is stored."""
    cron: str | None = None
    """The cron expression; None: it has an interval."""
    every: timedelta | None = None
    """The interval; None: it has a cron expression."""
    anchor: datetime | None = None
    """A time at which an occurrence of `every` falls; None: not given."""
    timezone: str = "UTC"
    """The IANA name of the time zone of the cron expression."""
    start: datetime | None = None
    """No occurrence before this time."""
    end: datetime | None = None
    """No occurrence after this time."""
    limit: int | None = None
    """It stops after this number of jobs; None: no limit."""
    misfire: str = "once"
    """What happens to missed occurrences: `once`, `skip` or `all`, as for a cron."""
    priority: int = 0
    expires_after: float | None = None
    """Seconds after its time after which a job that has not started is skipped; None: never."""
    unique_key: str | None = None
    """The unique key of each job: while a job that waits or runs holds it, the next one is skipped.
    """
    limit_key: str | float | None = None
    """The key of the concurrency limit of each job."""
    labels: tuple[str, ...] = ()
    """The labels of each job."""

    rev: int = 1
    """The revision of its definition: 1, and one more for each change."""
    paused: bool = False
    next: datetime | None = None
    """The next occurrence; one in the past is due. None: it has ended."""
    last: datetime | None = None
    """The time of the last occurrence for which it stored a job."""
    last_job: ObjectId | None = None
    """The id of the job that it stored last."""
    made: int = 0
    """The number of jobs that it has stored."""
    problem: str | None = None
    """Why it stored no job the last time, or was paused automatically; None: no problem."""
    created_at: datetime
    """When it was created; `every` counts from it without `anchor` and `start`."""
    updated_at: datetime
    """When its definition was last changed, or it was last paused or resumed."""
    ended_at: datetime | None = None
    """When a worker found that it has no further occurrence."""

    moved_at: datetime
    """When `next` was computed, by the clock of the worker that did it."""
    again: int = 0
    again_until: datetime | None = None
    """Until this time jobs were stored too early, because a clock was ahead. Their occurrences are
    stored again, one more millisecond later each time (`again`), which tells them apart.
    """
    token: ObjectId = field(default_factory=ObjectId, compare=False, repr=False)
    """The id of the last write; a writer has to know it, so that no write is lost."""
    stored: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The values as they were read, including those of a later version of the package."""

    @property
    def expression(self) -> str:
        """Its times in the form that `next_occurrence` takes."""
        if self.every is None:
            return self.cron or ""
        return interval_expression(self.every, self.anchor or self._first())

    @property
    def when(self) -> str:
        """Its times, for people."""
        return self.expression if self.cron is None else f"{self.cron} in {self.timezone}"

    @property
    def due(self) -> datetime | None:
        """When a worker next has to act on it; None: it is paused, or has ended."""
        return None if self.paused else self.next

    def _first(self) -> datetime:
        """Return what an interval counts from where no anchor is given, a whole second.

        `start` itself is a moment, so it is not cut; its making is none.
        """
        if self.start is None:
            return self.created_at
        return self.start + (_SECOND - timedelta(microseconds=1))

    def values(self) -> dict[str, Any]:
        """Return it as plain values, without those that are not set."""
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
        """Return the schedule of stored values."""
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
