"""What somebody should look at, with its cause; each remark leads to what it has counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from job_processor.handlers.registry import Registry
from job_processor.models import WorkerInfo
from job_processor.ops.overview import Overview
from job_processor.settings import CLOCK_TOLERANCE
from job_processor.store.rollups import OTHERS
from job_processor.store.summaries import JobSummary

LONG = 3600.0
"""Seconds after which a run is pointed at, unless it has a max runtime."""

MOST = 5
"""Remarks of a kind; the pages of names and workers have the others."""

Kind: TypeAlias = Literal[
    "no worker",
    "silent",
    "lost",
    "failing",
    "retrying",
    "missed",
    "unknown",
    "long",
    "clock",
    "paused name",
    "paused tag",
    "limited",
    "more",
]


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at: its kind says what, `subject` of what."""

    kind: Kind
    subject: str
    count: int = 0
    job_id: str | None = None
    at: datetime | None = None
    seconds: float = 0.0
    """By how much a clock is ahead, behind if negative."""


def of(overview: Overview, registry: Registry) -> list[Remark]:
    """Return what is wrong, the worst first."""
    now = overview.registrations.now
    workers = overview.registrations.workers
    living = [worker for worker in workers if not worker.is_dead(now)]
    names = [each for each in overview.names if each.name != OTHERS]
    failing = sorted(names, key=lambda each: -each.errored)
    retrying = sorted(names, key=lambda each: -each.retried)
    missed = sorted(overview.missed, key=lambda each: -each.missed)
    parked = sorted(overview.parked.items(), key=lambda each: -each[1])
    waiting = {job.name for job in overview.due}
    kinds: list[Iterable[Remark]] = [
        [] if living else [Remark("no worker", "")],
        [Remark("silent", each.place, at=each.last_seen) for each in workers if each.is_dead(now)],
        [Remark("lost", each.worker, each.rescued, at=each.last_seen) for each in overview.losses],
        [Remark("failing", each.name, each.errored) for each in failing if each.errored],
        [Remark("missed", each.name, each.missed) for each in missed if each.missed],
        [Remark("unknown", name) for name in _untaken(waiting, living, registry)],
        [
            Remark("long", job.name, job_id=str(job.id), at=job.updated_at)
            for job in overview.running
            if _is_long(job, registry, now)
        ],
        [Remark("retrying", each.name, each.retried) for each in retrying if each.retried],
        _clocks(living, now),
        [Remark("paused name", name) for name in sorted(overview.pauses.names)],
        [Remark("paused tag", tag) for tag in sorted(overview.pauses.tags)],
        [Remark("limited", name, count) for name, count in parked],
    ]
    return [remark for each in kinds for remark in _first(list(each))]


def _first(remarks: Sequence[Remark]) -> Iterator[Remark]:
    """Give the first of a kind, and how many more there are."""
    yield from remarks[:MOST]
    if len(remarks) > MOST:
        yield Remark("more", remarks[0].kind, len(remarks) - MOST)


def _clocks(living: Iterable[WorkerInfo], now: datetime) -> Iterator[Remark]:
    for worker in living:
        ahead = worker.clock_ahead
        if ahead is None and worker.seen_ahead(now) > CLOCK_TOLERANCE:
            ahead = worker.seen_ahead(now)
        if ahead is not None:
            yield Remark("clock", worker.place, seconds=ahead)


def _untaken(waiting: Iterable[str], living: Sequence[WorkerInfo], registry: Registry) -> list[str]:
    """Return the names that wait and that no running worker takes, as far as can be known."""
    if not all(worker.names for worker in living):  # a Node worker does not tell what it defines
        return []
    tags = {name: definition.tag for name, definition in registry.all.items()}

    def takes(worker: WorkerInfo, name: str) -> bool:
        tag = tags.get(name)
        return name in worker.names and (tag is None or worker.tags is None or tag in worker.tags)

    return sorted(name for name in waiting if not any(takes(each, name) for each in living))


def _is_long(job: JobSummary, registry: Registry, now: datetime) -> bool:
    """True for an attempt that runs for long, and that nothing will end."""
    definition = registry.all.get(job.name)
    if definition is not None and definition.limit_seconds is not None:
        return False
    return now - job.updated_at > timedelta(seconds=LONG)  # nothing writes it meanwhile
