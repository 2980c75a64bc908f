"""Schedules that are made at run time: put, changed, paused, removed, listed.

Each has a revision of its own, which one more change makes one more. Whoever writes knows the token
of the write before: of two at once, one looks again and goes on from what the other wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict, get_args

from job_processor.clock import EPOCH, LAST_MOMENT, truncate
from job_processor.crons.moments import first_moment
from job_processor.errors import (
    InvalidArgumentError,
    PayloadError,
    ScheduleNotFoundError,
    SharedDatabaseError,
    StoreError,
    UnknownJobError,
)
from job_processor.handlers.definitions import Misfire
from job_processor.handlers.labels import Labels, as_labels
from job_processor.jobs.handle import JobHandle
from job_processor.jobs.intake import new_job
from job_processor.jobs.request import JobRequest, Payload
from job_processor.parts import Parts
from job_processor.schedule import (
    LONGEST_INTERVAL,
    interval_expression,
    interval_of,
    parse,
)
from job_processor.settings import (
    PAGE_LIMIT,
    SCHEDULE_MARGIN,
    SCHEDULE_PAYLOAD,
    Duration,
    check_int,
    check_name,
    duration,
    time_zone,
)
from job_processor.store.schedules import Schedule
from job_processor.values import size_of

_TRIES = 50
"""Writes in a row before which somebody else was faster."""

_MOST = 1_000_000_000
"""Jobs of a schedule's limit: one a second for thirty years."""

_TIMING = ("cron", "every", "anchor", "timezone", "start", "end")
_DEFINITION = (
    *("job", "payload", "limit", "misfire", "priority", "expires_after", "unique_key", "limit_key"),
    "labels",
    *_TIMING,
)


class ScheduleFields(TypedDict, total=False):
    """What `put_schedule` takes beside a name."""

    job: Required[str | JobHandle[..., Any]]
    payload: Payload
    cron: str | None
    every: Duration | None
    anchor: datetime | None
    timezone: str | None
    start: datetime | None
    end: datetime | None
    limit: int | None
    misfire: Misfire
    priority: int
    expires_after: Duration | None
    unique_key: str | None
    limit_key: str | float | None
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a caller says of a schedule."""

    name: str
    job: str | JobHandle[..., Any]
    payload: Payload
    cron: str | None
    every: Duration | None
    anchor: datetime | None
    timezone: str | None
    start: datetime | None
    end: datetime | None
    limit: int | None
    misfire: Misfire
    priority: int
    expires_after: Duration | None
    unique_key: str | None
    limit_key: str | float | None
    labels: Labels = None


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """A page of schedules, sorted by name."""

    schedules: list[Schedule]
    next: str | None
    """Pass it as `after` to get the page that follows; None: this is the last page."""


async def put_schedule(parts: Parts, wanted: Wanted) -> Schedule:
    """Make a schedule, or change the one of this name; one that is the same stays as it is."""
    asked = _checked(parts, wanted)

    def change(present: Schedule | None) -> Schedule:
        return _new(asked) if present is None else _changed(present, asked)

    return await _write(parts, asked.name, change)


async def remove_schedule(parts: Parts, name: str) -> bool:
    """Remove a schedule; jobs that it made stay as they are. False where there is none."""
    check_name("name", name)
    return await parts.store.schedules.remove(name)


async def get_schedule(parts: Parts, name: str) -> Schedule | None:
    """Return a schedule, None when there is none of this name."""
    check_name("name", name)
    return await parts.store.schedules.get(name)


async def schedules(parts: Parts, limit: int, after: str | None, job: str | None) -> SchedulePage:
    """Return a page of schedules by name."""
    check_int("limit", limit, minimum=1)
    if limit > PAGE_LIMIT:
        raise InvalidArgumentError("limit", limit, f"allowed are at most {PAGE_LIMIT}")
    if after is not None and not isinstance(after, str):
        raise InvalidArgumentError("after", after, "allowed is the `next` of a page, or None")
    found = await parts.store.schedules.page(after or "", limit + 1, job)
    more = len(found) > limit
    return SchedulePage(found[:limit], found[limit - 1].name if more else None)


async def pause_schedule(parts: Parts, name: str) -> Schedule:
    """Let a schedule make nothing until it is resumed."""
    return await _set_paused(parts, name, paused=True)


async def resume_schedule(parts: Parts, name: str) -> Schedule:
    """Let a schedule go on; what it missed is judged by its `misfire`."""
    return await _set_paused(parts, name, paused=False)


async def _set_paused(parts: Parts, name: str, *, paused: bool) -> Schedule:
    check_name("name", name)
    now = parts.clock.now()

    def change(present: Schedule | None) -> Schedule:
        if present is None:
            raise ScheduleNotFoundError(name)
        if present.paused == paused:
            return present
        return replace(present, paused=paused, problem=None, updated_at=now)

    return await _write(parts, name, change)


async def _write(
    parts: Parts, name: str, change: Callable[[Schedule | None], Schedule]
) -> Schedule:
    """Change what stands until nobody else gets in between; return it as it then stands."""
    desk = parts.store.schedules
    for _ in range(_TRIES):
        present = await desk.get(name)
        wanted = change(present)
        if wanted is present:
            return wanted
        if await desk.put(wanted, None if present is None else present.token):
            return wanted
    raise StoreError(f"schedule {name!r}: {_TRIES} writes in a row lost against those of others")


def _new(asked: Schedule) -> Schedule:
    first = first_moment(asked, asked.created_at)
    return replace(asked, next=first, ended_at=asked.created_at if first is None else None)


def _changed(present: Schedule, asked: Schedule) -> Schedule:
    """Return what stands with what is asked for; the very same where that is no change.

    What it made counts on, and so does its first day, from which an interval may count. Its next
    moment stays where its times do, so that what is due is made.
    """
    differing = {
        each: getattr(asked, each)
        for each in _DEFINITION
        if getattr(asked, each) != getattr(present, each)
    }
    if not differing:
        return present
    now = asked.created_at
    changed = replace(present, **differing, rev=present.rev + 1, updated_at=now, problem=None)
    stays = present.next is not None and not differing.keys() & {*_TIMING}
    coming = present.next if stays else first_moment(changed, now)
    if changed.limit is not None and changed.made >= changed.limit:
        coming = None
    ended_at = None if coming is not None else present.ended_at or now
    moved_at = present.moved_at if stays else now
    if not stays:
        changed = replace(changed, again=0, again_until=None)
    return replace(changed, next=coming, ended_at=ended_at, moved_at=moved_at)


def _checked(parts: Parts, wanted: Wanted) -> Schedule:
    """Return a new schedule, but for its first moment; raises InvalidArgumentError and others."""
    check_name("name", wanted.name)
    job = wanted.job.name if isinstance(wanted.job, JobHandle) else wanted.job
    check_name("job", job)
    now = parts.clock.now()
    schedule = Schedule(
        name=wanted.name,
        job=job,
        limit=_limit(wanted.limit),
        misfire=_misfire(wanted.misfire),
        priority=wanted.priority,
        expires_after=_expires_after(wanted.expires_after),
        unique_key=wanted.unique_key,
        limit_key=wanted.limit_key,
        labels=as_labels(wanted.labels),
        created_at=now,
        updated_at=now,
        moved_at=now,
        **_timing(parts, wanted),
    )
    return replace(schedule, payload=_stored_payload(parts, schedule, wanted.payload))


def _timing(parts: Parts, wanted: Wanted) -> dict[str, Any]:
    start, end = _moment("start", wanted.start), _moment("end", wanted.end)
    if start is not None and end is not None and end < start:
        raise InvalidArgumentError("end", wanted.end, f"allowed is a time from {start} on")
    if (wanted.cron is None) == (wanted.every is None):
        allowed = 'allowed is one of the two: cron="0 8 * * *", or every=timedelta(minutes=5)'
        raise InvalidArgumentError("cron", wanted.cron, allowed)
    if wanted.cron is not None and wanted.anchor is not None:
        allowed = "it is of an interval: write every=timedelta(…), or leave it out"
        raise InvalidArgumentError("anchor", wanted.anchor, allowed)
    cron = None if wanted.cron is None else parse(wanted.cron, "cron")
    interval = None if cron is None else interval_of(cron)
    if interval is not None:
        seconds = int(interval.every.total_seconds())
        allowed = f"it is an interval: write every=timedelta(seconds={seconds})"
        raise InvalidArgumentError("cron", wanted.cron, allowed)
    if wanted.every is not None and wanted.timezone is not None:
        allowed = "an interval is the same in all zones; leave it out, or write cron="
        raise InvalidArgumentError("timezone", wanted.timezone, allowed)
    zone = parts.settings.timezone if wanted.timezone is None else wanted.timezone
    zone = "UTC" if cron is None else zone
    time_zone(zone)
    anchor = _moment("anchor", wanted.anchor)
    every = None
    if wanted.every is not None:
        interval_expression(wanted.every, anchor)
        every = timedelta(seconds=duration("every", wanted.every))
    timing = {"cron": cron, "every": every, "anchor": anchor, "timezone": zone}
    return {**timing, "start": start, "end": end}


def _moment(argument: str, value: Any) -> datetime | None:
    if value is None:
        return None
    allowed = "allowed is an aware datetime, such as datetime(2026, 1, 31, 8, tzinfo=UTC)"
    if isinstance(value, timedelta):
        told = f"{allowed}; a delay from now would be another time with each put"
        raise InvalidArgumentError(argument, value, told)
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidArgumentError(argument, value, allowed)
    try:
        moment = truncate(value)
    except OverflowError as error:
        raise InvalidArgumentError(argument, value, allowed) from error
    if not EPOCH <= moment <= LAST_MOMENT:
        raise InvalidArgumentError(argument, value, "allowed are the years from 1970 to 9999")
    return moment


def _limit(limit: int | None) -> int | None:
    if limit is not None:
        check_int("limit", limit, minimum=1)
        if limit > _MOST:
            raise InvalidArgumentError("limit", limit, f"allowed are at most {_MOST:,}")
    return limit


def _misfire(misfire: Misfire) -> Misfire:
    if misfire not in get_args(Misfire):
        raise InvalidArgumentError("misfire", misfire, "allowed are 'once', 'skip' and 'all'")
    return misfire


def _expires_after(expires_after: Duration | None) -> float | None:
    if expires_after is None:
        return None
    seconds = float(duration("expires_after", expires_after))
    if seconds > LONGEST_INTERVAL:
        raise InvalidArgumentError("expires_after", expires_after, "allowed are at most 50 years")
    return seconds


def _stored_payload(parts: Parts, schedule: Schedule, payload: Payload) -> Any:
    """Return a payload as it is stored, once a job of this schedule could be made here and now.

    Raises what scheduling one would: for an unknown job, its payload, an option that is not
    allowed, and one that this database cannot keep.
    """
    seconds = SCHEDULE_MARGIN if schedule.misfire == "skip" else schedule.expires_after
    expires = None if seconds is None else timedelta(seconds=seconds)
    request = JobRequest(
        schedule.job,
        payload,
        None,
        schedule.priority,
        expires,
        schedule.unique_key,
        limit_key=schedule.limit_key,
        labels=schedule.labels or None,
    )
    try:
        stored = new_job(parts, request).payload
    except UnknownJobError as error:
        raise UnknownJobError("job", error.value, error.allowed) from error
    except SharedDatabaseError as error:
        if error.argument != "expires_at":
            raise
        skips = schedule.misfire == "skip"
        argument, value = ("misfire", "skip") if skips else ("expires_after", seconds)
        raise SharedDatabaseError(argument, value, error.allowed) from error
    except InvalidArgumentError as error:
        if error.argument != "expires_at":
            raise
        raise InvalidArgumentError("expires_after", seconds, error.allowed) from error
    size = size_of(stored)
    if size > SCHEDULE_PAYLOAD:
        allowed = (
            f"allowed are at most {SCHEDULE_PAYLOAD:,} bytes for a schedule, which is read at each "
            f"of its moments; it has {size:,}: store it elsewhere, and give its key"
        )
        raise PayloadError("payload", payload, allowed)
    return stored
