"""Which moments of a schedule are due, and which comes next: pure functions of it and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from job_processor.errors import InvalidArgumentError
from job_processor.schedule import is_rhythm, latest_occurrences, next_occurrence
from job_processor.settings import MISFIRE_LIMIT, SCHEDULE_MARGIN
from job_processor.store.schedules import Schedule

_MS = timedelta(milliseconds=1)
_next_of = lru_cache(maxsize=256)(next_occurrence)
"""Thousands of schedules may have the same few expressions, and be due at the same moment."""
_MARGIN = timedelta(seconds=SCHEDULE_MARGIN)
_SHORTEST = timedelta(seconds=1)
"""Between two moments: so soon after one, none has been passed over."""


class Plan(NamedTuple):
    """What is to be made of a schedule now, and how it then stands."""

    moments: tuple[datetime, ...]
    """The planned times of the jobs, the earliest first."""
    after: Schedule


def next_moment(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first moment strictly later than `after`, from `start` to `end`; None: none.

    Raises InvalidArgumentError for a time zone that is not known here.
    """
    if schedule.start is not None:
        after = max(after, schedule.start - _MS)
    try:
        moment = _next_of(schedule.expression, schedule.timezone, after)
    except InvalidArgumentError as error:
        if error.argument == "timezone":
            raise
        return None  # its expression has no more
    return None if schedule.end is not None and moment > schedule.end else moment


def first_moment(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the first moment of a schedule that is put, or whose times have changed, now.

    `start` itself is one, where it is `now` or later.
    """
    if schedule.limit is not None and schedule.made >= schedule.limit:
        return None
    return next_moment(schedule, now if schedule.start is None else now - _MS)


def plan(schedule: Schedule, now: datetime) -> Plan:
    """Return what is due of a schedule, by its `misfire`, and how it stands without that.

    Whoever plans the same schedule gets the same first moment, and of a limited one the same first
    moments: so no two make more than the limit together.
    """
    pointer = schedule.next
    if pointer is None or pointer > now:
        return Plan((), schedule)
    due = (pointer, *_missed(schedule, pointer, now))
    if schedule.limit is not None:
        due = due[: max(schedule.limit - schedule.made, 0)]
    made = schedule.made + len(due)
    ended = schedule.limit is not None and made >= schedule.limit
    coming = None if ended else next_moment(schedule, max(now, pointer))
    after = replace(
        schedule,
        next=coming,
        made=made,
        last=max(due, default=schedule.last),
        ended_at=now if coming is None else None,
        moved_at=now,
        problem=None,
    )
    return Plan(tuple(shifted(schedule, each) for each in due), after)


def missed(schedule: Schedule, now: datetime) -> int:
    """Return of how many moments nobody made the job in time, whatever its `misfire` makes of them.

    Of those that are due all but the last, and that as well where it is late by more than a margin.
    """
    pointer = schedule.next
    if pointer is None or now - pointer < _SHORTEST:
        return 0
    due = [pointer]
    following = next_moment(schedule, pointer)
    if following is not None and following <= now:
        until = now if schedule.end is None else min(now, schedule.end)
        due += latest_occurrences(
            schedule.expression, schedule.timezone, pointer, until, MISFIRE_LIMIT
        )
    count = len(due) - (now - due[-1] <= _MARGIN)
    return count if schedule.limit is None else min(count, schedule.limit - schedule.made)


def shifted(schedule: Schedule, moment: datetime) -> datetime:
    """Return a moment, a little later where its job was made before its time once: see `repair`."""
    if schedule.again_until is None or moment > schedule.again_until:
        return moment
    return moment + schedule.again * _MS


def expiry(schedule: Schedule, moment: datetime) -> datetime | None:
    """Return from when on the job of a moment is not to begin any more; None: it always may.

    What `misfire="skip"` skips is what cannot begin soon, or not before the next moment.
    """
    given = schedule.expires_after
    bounds = [] if given is None else [moment + timedelta(seconds=given)]
    if schedule.misfire == "skip":
        bounds.append(moment + _MARGIN)
        following = next_moment(schedule, moment)
        bounds += [] if following is None else [following]
    return min(bounds, default=None)


def repair(schedule: Schedule, now: datetime) -> Schedule:
    """Return how a schedule stands whose next moment was computed by a clock that was ahead.

    Moments that were skipped or lie ahead come at their time. Those whose jobs were made before it
    come again as when clocks are set back in autumn: those of a rhythm do, a time of day does not.
    A single one does not, as after a small step: it ran, if a little early.
    """
    coming = first_moment(schedule, now)
    mended = replace(schedule, moved_at=now)
    if coming is not None and schedule.last is not None and coming <= schedule.last:
        following = next_moment(schedule, coming)
        if following is None or following > schedule.last:
            coming = following
        elif is_rhythm(schedule.expression):
            until = max(filter(None, (schedule.again_until, schedule.last)))
            mended = replace(mended, again=schedule.again + 1, again_until=until)
    return replace(mended, next=coming, ended_at=now if coming is None else None)


def upcoming(schedule: Schedule, now: datetime, count: int) -> tuple[datetime, ...]:
    """Return the next moments, at most `count`, as far as the limit leaves any."""
    moment = schedule.next
    if schedule.limit is not None:
        count = min(count, schedule.limit - schedule.made)
    found: list[datetime] = []
    while moment is not None and len(found) < count:
        found.append(moment)
        moment = next_moment(schedule, max(moment, now))
    return tuple(found)


def _missed(schedule: Schedule, pointer: datetime, now: datetime) -> list[datetime]:
    """Return the moments after `pointer` that `misfire="all"` adds.

    The latest ones; of a limited schedule the first, which are the same whoever looks and when.
    """
    if schedule.misfire != "all":
        return []
    until = now if schedule.end is None else min(now, schedule.end)
    if schedule.limit is None:
        return latest_occurrences(
            schedule.expression, schedule.timezone, pointer, until, MISFIRE_LIMIT
        )
    walk = [pointer]
    while len(walk) <= min(MISFIRE_LIMIT, schedule.limit - schedule.made):
        following = next_moment(schedule, walk[-1])
        if following is None or following > until:
            break
        walk.append(following)
    return walk[1:]
