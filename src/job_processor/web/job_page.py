"""The page of one job: what has become of it, what it works on, and what can be done with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from job_processor.as_json import job_json
from job_processor.clock import FAR
from job_processor.errors import JobNotFoundError
from job_processor.models import Job, JobStatus, RelatedJob
from job_processor.processor import JobProcessor
from job_processor.store.lanes import stops
from job_processor.web.timeline import places_of, timeline_of, tries_of
from job_processor.web.views import Views, pretty, weight

_CHILDREN = 100  # of what comes after a job, the first ones
_STEPS = 50  # of a job, the last ones; its JSON has all
_LAST_LINES = 5  # of the log of a job that did not finish
_MOST_ROWS = 24  # of the box in which a payload is edited
_LOG = 10_000  # bytes of the last lines of the log
_MARK = 70  # bytes of the time of a line
_TRACEBACKS = 6_000  # bytes of those of all attempts before the last one
_BOUNDS = {"VALUE": 6_000, "ERROR": 6_000, "TRACEBACK": 2_500, "LINE": 200}
"""Bytes that are shown of a payload or a result, of errors, of a line; its JSON has all."""


async def page(request: Request) -> Response:
    """One job with all there is to know of it."""
    processor: JobProcessor = request.app.state.processor
    found = await processor.get_job(request.path_params["id"])
    if found is None:
        raise JobNotFoundError(request.path_params["id"])
    registrations, parents, children = await asyncio.gather(
        processor.get_registrations(), _parents(processor, found), _children(processor, found)
    )
    tries = tries_of(found, places_of(registrations.workers), datetime.now(UTC))
    shown = request.app.state.redact(job_json(found))
    steps, log = shown.get("steps", []), shown.get("log", [])
    lines = _last_lines(log)
    views: Views = request.app.state.views
    return await views.page(
        request,
        "job.html",
        job=shown,
        tries=list(zip(tries, _errors(shown, len(tries)), strict=True)),
        moments=timeline_of(found, tries),
        forgotten=tries[0].number - 1 if tries else 0,
        steps=steps[-_STEPS:],
        steps_before=max(len(found.steps) - _STEPS, 0),
        last_lines=log[-_LAST_LINES:],
        lines=lines,
        lines_before=len(log) - len(lines),
        payload="" if shown.get("payload") is None else pretty(shown["payload"]),
        **_BOUNDS,
        stood=_stood(found),
        sleeps_until=found.sleeps_until,
        settled=found.settled,
        defined=found.name in processor.registry.jobs,
        rows=_rows(shown),
        unique_key=getattr(found, "unique_key", None),
        lane=found.lane,
        parked=found.parked,
        rate_lane=found.rate_lane,
        topics=found.topics,
        waits_until=found.scheduled_for if found.topics and found.scheduled_for < FAR else None,
        stops_lane=stops(found),
        parents=parents,
        children=children,
        group=found.group,
        callback_of=found.callback_of,
        flow=found.flow,
        flow_name=found.flow_name,
    )


async def _parents(processor: JobProcessor, job: Job) -> list[RelatedJob]:
    return await processor.get_parents(job.id) if job.after else []


async def _children(processor: JobProcessor, job: Job) -> list[RelatedJob]:
    return await processor.get_children(job.id, _CHILDREN)


def _errors(shown: dict[str, Any], count: int) -> list[str | None]:
    """Return the errors of the attempts as they are shown, without what the payload hides."""
    errors: list[str | None] = []
    left = _TRACEBACKS
    for each in shown.get("attempts", [])[::-1]:
        error = each["error"]
        told = error if error is None or left > 0 else error.partition("\n")[0]
        left -= min(len(told or ""), _BOUNDS["TRACEBACK"])
        errors.insert(0, told)
    last = (shown["output"] or {}).get("error")
    return errors if len(errors) == count else [*errors, last]


def _last_lines(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last lines of a log, as many as take so many bytes."""
    left, lines = _LOG, []
    for line in log[::-1]:
        left -= weight(line["text"]) + _MARK
        if left < 0:
            break
        lines.append(line)
    return lines[::-1]


def _stood(job: Job) -> bool:
    """True where what a job told of itself is how far it had come when it was stopped."""
    return job.status not in (JobStatus.RUNNING, JobStatus.FINISHED) and job.started_at is not None


def _rows(shown: dict[str, Any]) -> int:
    """Return how many rows the payload takes, where that is not too many."""
    payload = shown.get("payload")
    return min(max(pretty(payload).count("\n") + 1, 3), _MOST_ROWS)
