"""From a caller's wish to a job in the store: checked, made, inserted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, TypeAlias, get_args

from bson import ObjectId

from job_processor.clock import Clock, truncate
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.definitions import JobDef, Registry
from job_processor.handlers.payloads import TypedPayload
from job_processor.hooks import Stamps
from job_processor.models import JobStatus, OnConflict, SimpleJob, make
from job_processor.settings import check_name, check_positive
from job_processor.values import normalize_payload

When: TypeAlias = datetime | timedelta | None
Payload: TypeAlias = Mapping[str, Any] | TypedPayload | None
HIGHEST_PRIORITY = 9


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job for `schedule_jobs`, with everything that `schedule_job` takes."""

    name: str
    payload: Payload = None
    scheduled_for: When = None
    priority: int = 0
    expires_at: When = None
    unique_key: str | None = None
    on_conflict: OnConflict | None = None
    unique_for: float | None = None


ShortRequest: TypeAlias = str | tuple[str] | tuple[str, Payload] | tuple[str, Payload, When]
"""What may stand for a `JobRequest` without further options."""


class Producer:
    """Makes jobs of the registry's names.

    Args:
        registry: the names that are defined.
        clock: the time.
        stamps: what integrations add to a job.
        history: returns after how many days settled jobs are removed.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        stamps: Stamps,
        history: Callable[[], float] = lambda: inf,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._stamps = stamps
        self._history = history

    def make(
        self,
        name: str,
        payload: Payload = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: float | None = None,
    ) -> SimpleJob:
        """Return a pending job; raises InvalidArgumentError (unknown name, payload, time …)."""
        definition = self._registry.job(name)
        now = self._clock.now()
        moment = _moment(scheduled_for, now)
        options: dict[str, Any] = {}
        if priority != 0 or type(priority) is not int:
            _check_priority(priority)
            options["priority"] = priority
        if expires_at is not None:
            options["expires_at"] = _expiry(expires_at, now, moment)
        if (unique_key, on_conflict, unique_for) != (None, None, None):
            options["unique_until"] = _unique_until(unique_key, on_conflict, unique_for, now)
            if unique_for is not None:
                _check_history(unique_for, self._history())
            options["unique_key"] = unique_key
        return self._job(name, definition, payload, now, moment, **options)

    def make_running(self, name: str, payload: Payload, worker_id: ObjectId) -> SimpleJob:
        """Return a job that begins under the hand of its caller."""
        definition = self._registry.job(name)
        now = self._clock.now()
        return self._job(
            name,
            definition,
            payload,
            now,
            now,
            status=JobStatus.RUNNING,
            started_at=now,
            worker_id=worker_id,
            sync=True,
        )

    def make_of(self, request: JobRequest | ShortRequest, position: int) -> SimpleJob:
        """Return a pending job; the error names the position of the request."""
        parts = _parts(request)
        if not parts:
            raise InvalidArgumentError(
                f"jobs[{position}]",
                Unshown(request),
                "allowed are (name,), (name, payload), (name, payload, scheduled_for) and a "
                "JobRequest",
            )
        try:
            return self.make(*parts)
        except InvalidArgumentError as error:
            error.args = (f"jobs[{position}]: {error}",)
            raise

    def _job(
        self,
        name: str,
        definition: JobDef,
        payload: Payload,
        now: datetime,
        scheduled_for: datetime,
        **run: Any,
    ) -> SimpleJob:
        fields = {
            "id": ObjectId(),
            "name": name,
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
            "payload": normalize_payload(payload)
            if definition.bound.payload_type is None
            else definition.bound.payload_type.check(payload),
            "sync": False,
            "expires_at": None,
            "unique_key": None,
            "unique_until": None,
            "traceparent": None,
        }
        job = make(SimpleJob, {**fields, **run} if run else fields)
        return self._stamps.on(job) if self._stamps else job


def _parts(request: object) -> tuple[Any, ...]:
    """Return the arguments of `make` that a request stands for; none when it is no request."""
    if isinstance(request, JobRequest):
        return (
            request.name,
            request.payload,
            request.scheduled_for,
            request.priority,
            request.expires_at,
            request.unique_key,
            request.on_conflict,
            request.unique_for,
        )
    if isinstance(request, tuple | list):
        return tuple(request) if len(request) <= 3 else ()
    return (request,) if isinstance(request, str) else ()


def _unique_until(
    unique_key: object, on_conflict: object, unique_for: object, now: datetime
) -> datetime | None:
    """Return until when a key is held whatever becomes of its job; None: while it is active."""
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
    check_positive("unique_for", unique_for)
    try:
        return truncate(now + timedelta(seconds=unique_for))  # type: ignore[arg-type]  # checked
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
    if isinstance(scheduled_for, datetime):
        allowed = "it has no time zone; " + allowed
    raise InvalidArgumentError(argument, scheduled_for, allowed)
