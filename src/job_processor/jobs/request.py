"""From a caller's wish to a job: checked and made, ready to be put into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, get_args

from bson import ObjectId

from job_processor.clock import truncate
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.definitions import JobDef
from job_processor.handlers.groups import Group
from job_processor.handlers.labels import Labels, joined
from job_processor.handlers.payloads import TypedPayload
from job_processor.jobs.after import Parents, waiting
from job_processor.models import JobStatus, OnConflict, OnParentFailure, SimpleJob, make
from job_processor.parts import Parts
from job_processor.settings import Duration, check_name, duration

When: TypeAlias = datetime | timedelta | None
Payload: TypeAlias = Mapping[str, Any] | TypedPayload | None
HIGHEST_PRIORITY = 9


@dataclass(frozen=True)  # without slots: see `_short`
class JobRequest:
    """A job for `schedule_jobs` and others, with the arguments of `schedule_job` as fields.

    ```python
    await processor.schedule_jobs([JobRequest("send", {"to": "ada"}, priority=5)])
    ```
    """

    name: str
    payload: Payload = None
    scheduled_for: When = None
    priority: int = 0
    expires_at: When = None
    unique_key: str | None = None
    on_conflict: OnConflict | None = None
    unique_for: Duration | None = None
    limit_key: str | float | None = None
    rate_key: str | float | None = None
    after: Parents = None
    on_parent_failure: OnParentFailure | None = None
    group: Group | None = None
    """The group to add the job to; only code that may add members can use it: see `Group.add`."""
    labels: Labels = None
    """Labels to find it by, besides those of its definition."""


ShortRequest: TypeAlias = str | tuple[str] | tuple[str, Payload] | tuple[str, Payload, When]
"""What may stand for a `JobRequest` without further options."""


def request_of(given: object, position: int) -> JobRequest:
    """Return what is asked for by what stands for the job at a position of many.

    Raises InvalidArgumentError for what stands for none.
    """
    if isinstance(given, JobRequest):
        return given
    if isinstance(given, str):
        return _short(given)
    if isinstance(given, (tuple, list)) and 0 < len(given) <= 3:
        return _short(*given)
    raise InvalidArgumentError(
        f"jobs[{position}]",
        Unshown(given),
        "allowed are (name,), (name, payload), (name, payload, scheduled_for) and a JobRequest",
    )


_PLAIN = dict(vars(JobRequest("")))


def _short(name: str, payload: Payload = None, scheduled_for: When = None) -> JobRequest:
    """Return a request without further options, in half of the time: there may be millions."""
    request = object.__new__(JobRequest)
    fields = {**_PLAIN, "name": name, "payload": payload, "scheduled_for": scheduled_for}
    object.__setattr__(request, "__dict__", fields)
    return request


def make_job(parts: Parts, request: JobRequest) -> SimpleJob:
    """Return a pending job; raises InvalidArgumentError (unknown name, payload, time …)."""
    definition = parts.registry.job(request.name)
    now = parts.clock.now()
    moment = _moment(request.scheduled_for, now)
    options: dict[str, Any] = {}
    if request.priority != 0 or type(request.priority) is not int:
        _check_priority(request.priority)
        options["priority"] = request.priority
    if request.expires_at is not None:
        options["expires_at"] = _expiry(request.expires_at, now, moment)
    if (request.unique_key, request.on_conflict, request.unique_for) != (None, None, None):
        options["unique_until"] = _unique_until(request, now)
        if request.unique_for is not None:
            _check_history(duration("unique_for", request.unique_for), parts.history_days)
        options["unique_key"] = request.unique_key
    if request.group is not None:
        options["group"] = _open_group(request.group)
    if definition.labelled or request.labels is not None:
        options["labels"] = joined(definition.labelled, request.labels)
    job = _job(request, definition, now, moment, **options)
    if definition.limited is not None or request.limit_key is not None:
        job = _in_lane(request, definition, job)
    if definition.rate_limit is not None or request.rate_key is not None:
        job = _in_rate_lane(parts, request, definition, job)
    if request.after is None and request.on_parent_failure is None:
        return job
    return waiting(job, request.after, request.on_parent_failure)


def _open_group(group: object) -> ObjectId:
    """Return the id of a group that may be added to here; raises GroupClosedError."""
    if not isinstance(group, Group):
        allowed = "allowed is a Group: that of `async with processor.group(…)`, or context.group"
        raise InvalidArgumentError("group", group, allowed)
    group.check_open()
    return group.id


def _in_lane(request: JobRequest, definition: JobDef, job: SimpleJob) -> SimpleJob:
    """Return a job in the lane that its limit has for it."""
    limit = definition.limited
    if limit is None or limit.per == "worker":
        if request.limit_key is None:
            return job
        allowed = (
            f"{request.name!r} has no limit that a key could be of; write "
            "@processor.job(limit=Limit(5)), or leave it out"
        )
        raise InvalidArgumentError("limit_key", request.limit_key, allowed)
    lane = limit.lane_of(request.name, job.payload, request.limit_key)
    return job if lane is None else replace(job, lane=lane.name, ordered=lane.ordered)


def planned_job(
    parts: Parts,
    name: str,
    payload: Mapping[str, Any] | None,
    *,
    limit_key: str | float | None,
    labels: tuple[str, ...] = (),
    **fields: Any,
) -> SimpleJob:
    """Return the pending job of a schedule's moment, whose payload was checked when that was put.

    It is taken as it is stored: one that its handler takes no more fails in the handler's run,
    where it is seen.
    """
    definition = parts.registry.job(name)
    job = SimpleJob(
        name=name,
        payload=payload,
        status=JobStatus.PENDING,
        updated_at=fields["created_at"],
        exclusive=definition.exclusive,
        labels=joined(definition.labelled, labels),
        **fields,
    )
    request = JobRequest(name, limit_key=limit_key)
    if definition.limited is not None:
        job = _in_lane(request, definition, job)
    return job if definition.rate_limit is None else _in_rate_lane(parts, request, definition, job)


def _in_rate_lane(
    parts: Parts, request: JobRequest, definition: JobDef, job: SimpleJob
) -> SimpleJob:
    """Return a job in the lane that its rate has for it, where that has a key."""
    rate = definition.rate_limit
    if rate is None or rate.key is None:
        if request.rate_key is None:
            return job
        allowed = (
            f"{request.name!r} has no rate with a key; write @processor.job(rate=Rate(5, per=1, "
            "key=True)), or leave it out"
        )
        raise InvalidArgumentError("rate_key", request.rate_key, allowed)
    lane = rate.lane_of(request.name, job.payload, request.rate_key)
    return job if lane is None or not parts.registry.rates_apply else replace(job, rate_lane=lane)


def make_running_job(parts: Parts, request: JobRequest, worker_id: ObjectId) -> SimpleJob:
    """Return a job that begins under the hand of its caller."""
    now = parts.clock.now()
    definition = parts.registry.job(request.name)
    return _job(
        request,
        definition,
        now,
        now,
        labels=definition.labelled,
        status=JobStatus.RUNNING,
        started_at=now,
        worker_id=worker_id,
        sync=True,
    )


def _job(
    request: JobRequest, definition: JobDef, now: datetime, scheduled_for: datetime, **run: Any
) -> SimpleJob:
    fields = {
        "id": ObjectId(),
        "name": request.name,
        "status": JobStatus.PENDING,
        "scheduled_for": scheduled_for,
        "created_at": now,
        "updated_at": now,
        "started_at": None,
        "ended_at": None,
        "worker_id": None,
        "output": None,
        "exclusive": definition.exclusive,
        "attempt": 1,
        "crashes": 0,
        "attempts": (),
        "priority": 0,
        "notes": None,
        "payload": definition.bound.stored(request.payload),
        "sync": False,
        "expires_at": None,
        "unique_key": None,
        "unique_until": None,
        "traceparent": None,
    }
    return make(SimpleJob, {**fields, **run} if run else fields)


def _unique_until(request: JobRequest, now: datetime) -> datetime | None:
    """Return until when a key is held whatever becomes of its job; None: while it is active."""
    unique_key, on_conflict = request.unique_key, request.on_conflict
    unique_for = request.unique_for
    if unique_key is None:
        argument, value = (
            ("on_conflict", on_conflict) if on_conflict else ("unique_for", unique_for)
        )
        raise InvalidArgumentError(argument, value, "it says more about a unique_key; give one")
    check_name("unique_key", unique_key)
    if on_conflict is not None and on_conflict not in get_args(OnConflict):
        allowed = "allowed are 'return' (the default), 'skip', 'replace' and 'error'"
        raise InvalidArgumentError("on_conflict", on_conflict, allowed)
    if unique_for is None:
        return None
    try:
        return truncate(now + timedelta(seconds=duration("unique_for", unique_for)))
    except OverflowError as error:
        allowed = "allowed is a number of seconds that ends before the year 10000"
        raise InvalidArgumentError("unique_for", unique_for, allowed) from error


def _check_history(unique_for: float, days: float) -> None:
    """A key is held by its job, which is removed some time after its end."""
    seconds = days * 86_400
    if unique_for > seconds:
        allowed = (
            f"allowed are at most {seconds:,.0f} seconds: the job that holds the key is removed "
            f"{days:g} days after its end, and its key with it (history_days; MongoDB keeps none "
            "for longer than 90 days)"
        )
        raise InvalidArgumentError("unique_for", unique_for, allowed)


def _check_priority(priority: object) -> None:
    whole = isinstance(priority, int) and not isinstance(priority, bool)
    if not whole or priority not in range(HIGHEST_PRIORITY + 1):
        allowed = f"allowed is a whole number from 0 to {HIGHEST_PRIORITY}, the most urgent"
        raise InvalidArgumentError("priority", priority, allowed)


def _expiry(expires_at: When, now: datetime, scheduled_for: datetime) -> datetime:
    """Return the moment from which on a job does not begin any more."""
    moment = _moment(expires_at, now, "expires_at")
    if moment <= scheduled_for:
        allowed = f"allowed is a time after scheduled_for, {scheduled_for.isoformat()}"
        raise InvalidArgumentError("expires_at", expires_at, allowed)
    return moment


def _moment(scheduled_for: When, now: datetime, argument: str = "scheduled_for") -> datetime:
    """Return the moment that is meant; a naive datetime is refused, it would be a guess."""
    allowed = "allowed are an aware datetime, a timedelta from now, or None (now)"
    if scheduled_for is None:
        return now
    try:
        if isinstance(scheduled_for, timedelta):
            return truncate(now + scheduled_for)
        if isinstance(scheduled_for, datetime) and scheduled_for.utcoffset() is not None:
            return truncate(scheduled_for)
    except OverflowError as error:
        raise InvalidArgumentError(argument, scheduled_for, allowed) from error
    raise InvalidArgumentError(argument, scheduled_for, allowed + _meant(scheduled_for))


def _meant(value: object) -> str:
    """Return the line that is meant by what is no time here."""
    if isinstance(value, datetime):
        return "; it has no time zone: write datetime(…, tzinfo=UTC)"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"; write timedelta(seconds={value}) for that many from now"
    return ""
