"""What Sentry is told of a cron, so that it notices what is late, missed, or takes too long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from job_processor.handlers.definitions import CronDef
from job_processor.schedule import parse

_FIELDS = 5  # a sixth has seconds, of which Sentry knows nothing


def monitor_config(
    cron: CronDef, default_timezone: str, thresholds: Mapping[str, int | None]
) -> dict[str, Any] | None:
    """Return the settings of a cron's monitor; None where Sentry cannot tell when it fires.

    Sentry counts in whole minutes, of which there is at least one.
    """
    expression = parse(cron.cron_string)
    if len(expression.split()) != _FIELDS:
        return None
    config: dict[str, Any] = {
        "schedule": {"type": "crontab", "value": expression},
        "timezone": cron.timezone or default_timezone,
        "checkin_margin": max(1, math.ceil(cron.margin_seconds / 60)),
    }
    if cron.limit_seconds is not None:
        config["max_runtime"] = max(1, math.ceil(cron.limit_seconds / 60))
    return config | {name: count for name, count in thresholds.items() if count is not None}
