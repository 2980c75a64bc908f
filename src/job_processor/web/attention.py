"""What somebody should look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from job_processor.definitions import Registry
from job_processor.pauses import Pauses
from job_processor.rollups import Rollup

LONG = 3600.0
"""Seconds after which a run is pointed at, unless it has a max runtime."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at: its kind says what, `subject` of what."""

    kind: Literal["no worker", "failing", "unknown", "long", "paused"]
    subject: str
    count: int = 0
    job_id: str | None = None


def of(
    status: Mapping[str, Any], hour: Rollup, pauses: Pauses, registry: Registry, now: datetime
) -> list[Remark]:
    """Return what `get_status()` and the last hour's counts point at, the worst first."""
    remarks = [] if status["workers"] else [Remark("no worker", "")]
    failures = sorted(hour.failures.items(), key=lambda each: -each[1])
    remarks += [Remark("failing", name, count) for name, count in failures[:5]]
    defined = {name for name, _ in registry}
    waiting = {job["name"] for job in status["queue"]}
    if defined:  # a dashboard of its own defines nothing, and knows of no name
        remarks += [Remark("unknown", name) for name in sorted(waiting - defined)[:5]]
    for group in status["workers"]:
        remarks += [
            Remark("long", task["name"], job_id=task["_id"])
            for task in group["tasks"]
            if _seconds(task, now) > LONG
        ]
    paused = [*sorted(pauses.names), *(f"#{tag}" for tag in sorted(pauses.tags))]
    return remarks + [Remark("paused", each) for each in paused]


def _seconds(task: Mapping[str, Any], now: datetime) -> float:
    started = task["started_at"]
    return (now - datetime.fromisoformat(started)).total_seconds() if started else 0.0
