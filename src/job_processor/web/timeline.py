"""What has become of a job, in order: its moments, and its attempts one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.models import Job, JobStatus, WorkerInfo


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a job, or is to come."""

    at: datetime
    what: str
    """A text of the pages, or a state."""
    kind: str = ""
    """How it is marked: a state, or `bad`."""
    number: int | None = None
    """Of the attempt, where it is one."""
    took_ms: int | None = None
    worker: str | None = None
    """Where, as `host:pid`."""


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt of a job."""

    number: int
    status: str
    """`errored`, where another one followed; else what the job is or has become."""
    began: datetime | None
    took_ms: int | None
    worker: str | None
    """Where it ran, as `host:pid`; None: that worker is not registered any more."""
    worker_id: ObjectId | None
    error: str | None
    is_last: bool = False
    """True for the one that the job's own error or result is of."""


def tries_of(job: Job, workers: Mapping[ObjectId, str], now: datetime) -> list[Try]:
    """Return the attempts of a job, the oldest first.

    workers: the registered ones by their id, as `host:pid`. Of those before the last 20 nothing is
    kept.
    """
    tries = [
        Try(
            number=each.number,
            status="errored",
            began=each.started_at,
            took_ms=to_ms(each.ended_at) - to_ms(each.started_at),
            worker=each.worker or _place(each.worker_id, workers),
            worker_id=each.worker_id,
            error=each.error,
        )
        for each in job.attempts
    ]
    last = _last(job, workers, now)
    return tries if last is None else [*tries, last]


def timeline_of(job: Job, tries: list[Try]) -> list[Moment]:
    """Return the moments of a job in order, those to come as well."""
    return sorted(_moments(job, tries), key=lambda moment: moment.at)


def _moments(job: Job, tries: list[Try]) -> Iterator[Moment]:
    yield Moment(job.created_at, "created")
    if job.scheduled_for < FAR and _tells_something(job):
        yield Moment(job.scheduled_for, "due")
    for each in tries:
        if each.began is not None:
            ran = None if each.status == "running" else each.took_ms
            kind = "bad" if not each.is_last else ""
            yield Moment(each.began, "attempt", kind, each.number, ran, each.worker)
    if job.crash is not None:
        yield Moment(job.crash.at, "death of its worker noticed", "bad", worker=job.crash.worker)
    if job.ended_at is not None:
        yield Moment(job.ended_at, job.status.value, job.status.value)
    expires_at = getattr(job, "expires_at", None)
    if expires_at is not None and not job.settled:
        yield Moment(expires_at, "expires")


def _tells_something(job: Job) -> bool:
    """False where a job was due when it was made, and has begun."""
    if not job.settled and job.status is not JobStatus.RUNNING:
        return True
    return abs(job.scheduled_for - job.created_at) >= timedelta(seconds=1)


def _last(job: Job, workers: Mapping[ObjectId, str], now: datetime) -> Try | None:
    """Return the present or last attempt; None where none has begun."""
    if job.status is JobStatus.RUNNING:  # what was written last is that it began
        took = max(to_ms(now) - to_ms(job.updated_at), 0)
        place = _place(job.worker_id, workers)
        status = job.status.value
        return Try(job.attempt, status, job.updated_at, took, place, job.worker_id, None, True)
    if job.ended_at is None or job.started_at is None or job.output is None:
        return None
    crashed = job.crash is not None and job.crash.at == job.ended_at
    took_ms = job.output.duration_ms
    began = job.started_at
    if job.attempts and took_ms is not None:
        began = max(job.ended_at - timedelta(milliseconds=took_ms), job.attempts[-1].ended_at)
    worker_id = job.crash.worker_id if crashed and job.crash is not None else job.worker_id
    place = job.crash.worker if crashed and job.crash is not None else _place(worker_id, workers)
    error = job.output.error
    return Try(job.attempt, job.status.value, began, took_ms, place, worker_id, error, True)


def _place(worker_id: ObjectId | None, workers: Mapping[ObjectId, str]) -> str | None:
    return None if worker_id is None else workers.get(worker_id)


def places_of(workers: tuple[WorkerInfo, ...] | list[WorkerInfo]) -> dict[ObjectId, str]:
    """Return where each worker runs, as `host:pid`."""
    return {
        worker.id: f"{worker.hostname}:{worker.pid}" if worker.pid else worker.hostname
        for worker in workers
    }
