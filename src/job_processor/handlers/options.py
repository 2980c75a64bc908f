"""Options by name: those that do not exist, and which one is meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from job_processor.errors import DefinitionError

_ELSEWHERE = {
    "max_retries": "retry",
    "retries": "retry",
    "max_attempts": "retry",
    "autoretry_for": "retry",
    "retry_backoff": "retry",
    "default_retry_delay": "retry",
    "queue": "tag",
    "queue_name": "tag",
    "tags": "tag",
    "routing_key": "tag",
    "timeout": "max_runtime_in_minutes",
    "time_limit": "max_runtime_in_minutes",
    "soft_time_limit": "max_runtime_in_minutes",
    "job_timeout": "max_runtime_in_minutes",
    "tz": "timezone",
    "interval": "every",
    "seconds": "every",
    "minutes": "every",
    "hours": "every",
    "run_every": "every",
    "ignore_result": "discard_result",
    "rate_limit": "rate",
    "rates": "rate",
    "ratelimit": "rate",
    "limiter": "rate",
    "throttle": "rate",
    "throttling": "rate",
    "concurrency": "limit",
    "max_concurrency": "limit",
    "concurrency_limit": "limit",
    "max_running": "limit",
    "lock": "exclusive",
    "batch_size": "batch",
    "chunk": "batch",
    "chunk_size": "batch",
    "flush_every": "batch",
    "flush_interval": "batch_wait",
    "batch_timeout": "batch_wait",
    "label": "labels",
    "meta": "labels",
    "metadata": "labels",
}
"""What other packages call it."""
_WRITTEN = {
    "retry": "retry=Retry(max_attempts=5)",
    "tag": 'tag="emails"',
    "max_runtime_in_minutes": "max_runtime_in_minutes=5, or max_runtime=timedelta(seconds=30)",
    "timezone": 'timezone="Europe/Paris"',
    "discard_result": "discard_result=True",
    "exclusive": "exclusive=True",
    "every": "every=timedelta(minutes=5)",
    "rate": 'rate="100/m"',
    "limit": "limit=3",
    "batch": "batch=100",
    "batch_wait": "batch_wait=0.5",
    "labels": 'labels=["nightly"]',
}
_NO_OPTIONS = {
    "bind": "a parameter named job or context gets the job, with its attempt",
    "priority": "a priority is of each job: send.options(priority=5).schedule(…)",
    "countdown": "when is of each job: send.options(scheduled_for=timedelta(…)).schedule(…)",
    "eta": "when is of each job: send.options(scheduled_for=…).schedule(…)",
    "scheduled_for": "when is of each job: send.options(scheduled_for=…).schedule(…)",
    "unique_key": "a key is of each job: send.options(unique_key=…).schedule(…)",
}


def check_options(what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise DefinitionError for an option that a definition does not have; it names the nearest."""
    allowed = list(known)
    for name, value in given.items():
        if name not in allowed:
            raise DefinitionError(name, value, _meant(what, name, allowed))


def _meant(what: str, name: str, allowed: list[str]) -> str:
    if name in _NO_OPTIONS:
        return f"a {what} has no such option: {_NO_OPTIONS[name]}"
    near = _ELSEWHERE.get(name) or next(iter(difflib.get_close_matches(name, allowed, 1)), None)
    if near is None or near not in allowed:
        return f"a {what} has no such option; its options are {', '.join(allowed)}"
    return f"a {what} has no such option; write {_WRITTEN.get(near, f'{near}=…')}"
