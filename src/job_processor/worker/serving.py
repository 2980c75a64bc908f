"""What a worker serves, in the lines that it writes when it starts."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime

from job_processor.clock import span
from job_processor.errors import InvalidArgumentError
from job_processor.handlers.definitions import CronDef, Definition
from job_processor.parts import Parts
from job_processor.schedule import next_occurrence
from job_processor.texts import storable
from job_processor.version import version

_NAMES = 20  # told of one tag
_TAGS = 10
_CRONS = 10


def lines(parts: Parts, worker_id: object) -> Iterator[str]:
    """Return who the worker is and where it works, then its jobs by tag, then its crons."""
    settings, registry = parts.settings, parts.registry
    tags = "all tags" if settings.worker_tags is None else f"tags {_some(settings.worker_tags)}"
    host = storable(socket.gethostname())
    yield (
        f"worker started {worker_id}: working on {parts.store.address} "
        f"as {host}:{os.getpid()}, {settings.concurrency} at a time, {tags}, "
        f"service {settings.service!r}, job-processor {version()}, "
        f"Python {platform.python_version()}"
    )
    served = set(registry.served(settings.worker_tags))
    jobs = [(name, job) for name, job in registry.jobs.items() if job.handler is not None]
    yield from _jobs([each for each in jobs if each[0] in served])
    crons = [(name, cron) for name, cron in registry.crons.items() if name in served]
    yield from _crons(crons, settings.timezone, parts.clock.now())
    if not jobs and not registry.crons:
        yield "it serves nothing: no job and no cron has a handler here"
    left = [name for name, _ in registry if name not in served]
    if left:
        yield f"left to workers with other tags: {_some(left)}"


def _jobs(served: Sequence[tuple[str, Definition]]) -> Iterator[str]:
    by_tag: dict[str | None, list[str]] = {}
    for name, job in served:
        by_tag.setdefault(job.tag, []).append(name)
    tags = sorted(by_tag, key=lambda tag: tag or "")
    for tag in tags[:_TAGS]:
        yield f"jobs{f' with tag {tag!r}' if tag else ''}: {_some(by_tag[tag])}"
    if len(tags) > _TAGS:
        names = sum(len(by_tag[tag]) for tag in tags[_TAGS:])
        yield f"and {names} more jobs with {len(tags) - _TAGS} other tags"


def _crons(served: Sequence[tuple[str, CronDef]], timezone: str, now: datetime) -> Iterator[str]:
    """Return the crons, the next one first; of many, only as many are computed as are told."""
    told: list[tuple[datetime, str]] = []
    for name, cron in served[:_CRONS]:
        zone = cron.timezone or timezone
        try:
            due = next_occurrence(cron.expression, zone, now)
        except InvalidArgumentError:  # it never comes again
            continue
        after = f"next {due:%Y-%m-%d %H:%M:%S} UTC, in {span((due - now).total_seconds())}"
        tag = f", tag {cron.tag!r}" if cron.tag else ""
        told.append((due, f"cron {name}: {cron.when(timezone)}{tag}, {after}"))
    yield from (text for _, text in sorted(told))
    if len(served) > _CRONS:
        yield f"and {len(served) - _CRONS} more crons: {_some([n for n, _ in served[_CRONS:]])}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"
