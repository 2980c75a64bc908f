"""What somebody should look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from job_processor.handlers.registry import Registry
from job_processor.jobs.pauses import Pauses
from job_processor.models import Registrations, WorkerInfo
from job_processor.store.rollups import Rollup

LONG = 3600.0
"""Seconds after which a run is pointed at, unless it has a max runtime."""

_MOST = 5  # of a kind; the pages of jobs and workers have the others


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at: its kind says what, `subject` of what."""

    kind: Literal["no worker", "dead", "failing", "unknown", "long", "paused"]
    subject: str
    count: int = 0
    job_id: str | None = None
    at: datetime | None = None


def of(
    status: Mapping[str, Any],
    registrations: Registrations,
    hour: Rollup,
    pauses: Pauses,
    registry: Registry,
) -> list[Remark]:
    """Return what is wrong, the worst first.

    status: of `get_healthcheck()`. hour: what the last hour's counts add up to.
    """
    now = registrations.now
    dead = [worker for worker in registrations.workers if worker.is_dead(now)]
    living = [worker for worker in registrations.workers if not worker.is_dead(now)]
    remarks = [] if living else [Remark("no worker", "")]
    remarks += [Remark("dead", worker.hostname, at=worker.last_seen) for worker in dead[:_MOST]]
    failures = sorted(hour.failures.items(), key=lambda each: -each[1])
    remarks += [Remark("failing", name, count) for name, count in failures[:_MOST]]
    waiting = {job["name"] for job in status["queue"]}
    remarks += [Remark("unknown", name) for name in _untaken(waiting, living, registry)[:_MOST]]
    for group in status["workers"]:
        remarks += [
            Remark("long", task["name"], job_id=task["_id"])
            for task in group["tasks"]
            if _seconds(task, now) > LONG
        ]
    paused = [*sorted(pauses.names), *(f"#{tag}" for tag in sorted(pauses.tags))]
    return remarks + [Remark("paused", each) for each in paused]


def _untaken(waiting: Iterable[str], living: list[WorkerInfo], registry: Registry) -> list[str]:
    """Return the names that wait and that no living worker takes, as far as can be known."""
    if not all(worker.names for worker in living):  # a Node worker does not tell what it defines
        return []
    tags = {name: definition.tag for name, definition in registry}

    def takes(worker: WorkerInfo, name: str) -> bool:
        tag = tags.get(name)
        return name in worker.names and (tag is None or worker.tags is None or tag in worker.tags)

    return sorted(name for name in waiting if not any(takes(each, name) for each in living))


def _seconds(task: Mapping[str, Any], now: datetime) -> float:
    """Return for how long the present attempt has been running: nothing writes it meanwhile."""
    began = task.get("updated_at") or task["started_at"]
    return (now - datetime.fromisoformat(began)).total_seconds() if began else 0.0
