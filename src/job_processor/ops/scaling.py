"""How many workers are wanted: what waits, since when, and what those that live can take."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.jobs.limits import LimitInfo, limits
from job_processor.jobs.pauses import Pauses, get_pauses
from job_processor.jobs.services import listings
from job_processor.models import JobStatus, JobType, WorkerInfo
from job_processor.ops.status import dormant_crons
from job_processor.parts import Parts
from job_processor.settings import COUNT_CAP, LANES_LOOKED_AT, STATUS_NAMES, check_int, check_name
from job_processor.store.lanes import LaneInfo

MOST_WORKERS = 100_000
"""The largest bound that can be asked for."""


PARAMETERS = ("tag", "name", "concurrency", "min", "max")
"""What the address of `/scaling` may ask."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The present load and the number of workers that it needs."""

    waiting: int
    """Due jobs and cron tasks that a free worker would start. Jobs for later, parked and paused
    jobs do not count. Exact up to 10,000 per name.
    """
    oldest_seconds: float
    """Seconds for which the first of these has been waiting; 0 if there is none."""
    running: int
    """Jobs and cron tasks that run."""
    workers: int
    """Running workers that serve these jobs."""
    capacity: int
    """The number of jobs that these workers can run at the same time, in total."""
    wanted: int
    """The number of workers that could run all waiting and running jobs at once, within the bounds.
    """

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which jobs and workers are asked about, and between which bounds the answer is to be."""

    tags: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    concurrency: int | None = None
    least: int = 0
    most: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What `JobProcessor.get_scaling` takes to be asked about the same."""
        return {
            "tag": sorted(self.tags) or None,
            "name": sorted(self.names) or None,
            "concurrency": self.concurrency,
            "min_workers": self.least,
            "max_workers": self.most,
        }

    def has(self, name: str, tag: str | None) -> bool:
        """True when jobs of this name are meant."""
        return (not self.names or name in self.names) and (not self.tags or tag in self.tags)

    def is_served_by(self, worker: WorkerInfo) -> bool:
        """True when a worker takes any of these jobs, as far as its registration tells."""
        by_tag = not self.tags or worker.tags is None or bool(self.tags.intersection(worker.tags))
        by_name = not (self.names and worker.names) or bool(self.names.intersection(worker.names))
        return by_tag and by_name

    def bounded(self, wanted: int) -> int:
        """Return how many workers are wanted, within the bounds."""
        return max(self.least, wanted if self.most is None else min(wanted, self.most))


def scope_of(
    tag: str | Iterable[str] | None = None,
    name: str | Iterable[str] | None = None,
    concurrency: int | None = None,
    min_workers: int = 0,
    max_workers: int | None = None,
) -> Scope:
    """Return what is asked about; raises InvalidArgumentError."""
    if concurrency is not None:
        check_int("concurrency", concurrency, minimum=1)
    check_int("min_workers", min_workers, minimum=0)
    if max_workers is not None:
        check_int("max_workers", max_workers, minimum=0)
        if max_workers < min_workers:
            allowed = f"allowed is at least min_workers, which is {min_workers}"
            raise InvalidArgumentError("max_workers", max_workers, allowed)
    for argument, value in (("min_workers", min_workers), ("max_workers", max_workers or 0)):
        if value > MOST_WORKERS:
            raise InvalidArgumentError(argument, value, f"allowed are at most {MOST_WORKERS:,}")
    return Scope(_texts("tag", tag), _texts("name", name), concurrency, min_workers, max_workers)


def scope_of_query(query: Iterable[tuple[str, str]]) -> Scope:
    """Return what the query of an address asks about; raises InvalidArgumentError.

    A parameter that is not known is refused: a misspelt tag would scale by all jobs there are.
    """
    given: dict[str, list[str]] = {}
    for key, value in query:
        given.setdefault(key, []).append(value)
    for key in given:
        if key not in PARAMETERS:
            allowed = f"allowed are {', '.join(PARAMETERS)}"
            raise InvalidArgumentError("parameter", key[:80], allowed)
    numbers = {
        key: _number(key, given[key]) for key in ("concurrency", "min", "max") if key in given
    }
    return scope_of(
        given.get("tag"),
        given.get("name"),
        numbers.get("concurrency"),
        numbers.get("min", 0),
        numbers.get("max"),
    )


def _number(key: str, values: list[str]) -> int:
    text = values[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidArgumentError(key, text[:80], "allowed is a whole number of at least 0")
    return int(text)


async def get_scaling(parts: Parts, scope: Scope) -> Scaling:
    """Return what there is to do, and for how many workers: no job is read."""
    known = await tags_by_name(parts)
    names = [name for name, tag in known.items() if scope.has(name, tag)]
    registrations, pauses, dormant = await asyncio.gather(
        parts.store.workers.registrations(), get_pauses(parts), dormant_crons(parts.store)
    )
    startable = [
        name for name in names if name not in dormant and not pauses.include(name, known[name])
    ]
    now = registrations.now
    waiting = await _waiting(parts, startable, now)
    since, running = await asyncio.gather(
        _since(parts, [name for name in startable if waiting.get(name)]), _running(parts, names)
    )
    serving = [
        worker
        for worker in registrations.workers
        if not worker.is_dead(now) and scope.is_served_by(worker) and not _leaves(worker, pauses)
    ]
    capacity = sum(worker.concurrency or 1 for worker in serving)
    total = sum(waiting.values())
    each = scope.concurrency or _each(capacity, len(serving), parts.settings.concurrency)
    return Scaling(
        waiting=total,
        oldest_seconds=_seconds(since, now) if total else 0.0,
        running=running,
        workers=len(serving),
        capacity=capacity,
        wanted=scope.bounded(ceil((total + running) / each)),
    )


async def tags_by_name(parts: Parts) -> dict[str, str | None]:
    """Return the tags of all names that are defined here, that programs have listed, or stored.

    Programs list theirs in the database, so that it is known while no worker lives.
    """
    store = parts.store
    now, kept = await store.ping(), timedelta(days=parts.settings.history_days)
    stored, listed = await asyncio.gather(
        store.history.names(STATUS_NAMES), listings(store, now, kept)
    )
    known: dict[str, str | None] = dict.fromkeys((name for _, name in stored), None)
    known.update({name: each.tag for name, each in listed.items()})
    known.update({name: its.tag for name, its in parts.registry.all.items()})
    return known


async def _waiting(parts: Parts, names: Collection[str], now: datetime) -> dict[str, int]:
    """Return by name how many due jobs a free worker would start."""
    waiting = await parts.store.queue.count_due(names, now, COUNT_CAP)
    if waiting and parts.registry.limits:
        for limit in await limits(parts, LANES_LOOKED_AT):
            _bound(waiting, limit)
    return waiting


def _bound(waiting: dict[str, int], limit: LimitInfo) -> None:
    """Count of the jobs that share a limit no more than it lets run."""
    if limit.amount is None or limit.more:
        return
    left = sum(_startable(lane, limit.amount) for lane in limit.lanes)
    for name in limit.names:
        if name in waiting:
            waiting[name] = min(waiting[name], left)
            left -= waiting[name]


def _startable(lane: LaneInfo, amount: int) -> int:
    return 0 if lane.stopped_by else min(lane.in_line, max(amount - lane.running, 0))


async def _since(parts: Parts, names: Collection[str]) -> datetime | None:
    found = await asyncio.gather(
        parts.store.queue.next_due(names), parts.store.lanes.next_ready(names)
    )
    return min((moment for moment in found if moment is not None), default=None)


async def _running(parts: Parts, names: Collection[str]) -> int:
    types: tuple[JobType, ...] = ("simple", "cron_task")
    keys = [(type, name) for name in names for type in types]
    counts = await parts.store.history.count(keys, COUNT_CAP, [JobStatus.RUNNING])
    return sum(each.count for each in counts)


def _leaves(worker: WorkerInfo, pauses: Pauses) -> bool:
    """True for a worker that is asked to stop: it claims nothing more."""
    return str(worker.id) in pauses.workers


def _each(capacity: int, workers: int, usual: int) -> int:
    """Return how many jobs one worker runs at a time: as those there are, rounded down."""
    return max(capacity // workers, 1) if workers else usual


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _texts(argument: str, value: str | Iterable[str] | None) -> frozenset[str]:
    if value is None:
        return frozenset()
    texts = [value] if isinstance(value, str) else list(value)
    for text in texts:
        check_name(argument, text)
    return frozenset(texts)


def by_tag(known: Mapping[str, str | None]) -> list[str]:
    """Return the tags that names have."""
    return sorted({tag for tag in known.values() if tag is not None})
