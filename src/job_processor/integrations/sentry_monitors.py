"""What Sentry is told of a cron, so that it notices what is late, missed, or takes too long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from job_processor.handlers.definitions import CronDef
from job_processor.schedule import Interval, interval_of

_FIELDS = 5  # a sixth has seconds, of which Sentry knows nothing
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def monitor_config(
    cron: CronDef, default_timezone: str, thresholds: Mapping[str, int | None]
) -> dict[str, Any] | None:
    """Return the settings of a cron's monitor; None where Sentry cannot tell when it fires.

    Sentry counts in whole minutes, of which there is at least one.
    """
    schedule = _schedule(cron.expression)
    if schedule is None:
        return None
    config: dict[str, Any] = {
        "schedule": schedule,
        "timezone": cron.timezone or default_timezone,
        "checkin_margin": max(1, math.ceil(cron.margin_seconds / 60)),
    }
    if cron.limit_seconds is not None:
        config["max_runtime"] = max(1, math.ceil(cron.limit_seconds / 60))
    return config | {name: count for name, count in thresholds.items() if count is not None}


def _schedule(expression: str) -> dict[str, Any] | None:
    interval = interval_of(expression)
    if interval is not None:
        return _of_interval(interval)
    if len(expression.split()) != _FIELDS:
        return None
    return {"type": "crontab", "value": expression}


def _of_interval(interval: Interval) -> dict[str, Any] | None:
    """Return it in the largest unit in which it is whole; None where it is none of minutes."""
    seconds = int(interval.every.total_seconds())
    for size, unit in _UNITS:
        if seconds % size == 0:
            return {"type": "interval", "value": seconds // size, "unit": unit}
    return None
