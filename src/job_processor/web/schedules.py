"""Schedules that were made at run time: their page, and what programs may do with them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.as_json import schedule_json
from job_processor.errors import InvalidArgumentError, ScheduleNotFoundError, Unshown
from job_processor.store.schedules import Schedule
from job_processor.web.api import check_unforged
from job_processor.web.auditing import audited
from job_processor.web.carried import processor_of
from job_processor.web.forms import json_of
from job_processor.web.reading import number_of, time_of
from job_processor.web.views import Views

PAGE = 50
_TIMES = ("anchor", "start", "end")
_FIELDS = frozenset(
    {
        *("job", "payload", "cron", "every", "timezone", "limit", "misfire", "priority"),
        *("expires_after", "unique_key", "limit_key", "labels", *_TIMES),
    }
)


async def page(request: Request) -> Response:
    """A page of schedules by name, of one job or of all."""
    parameters = request.query_params
    job, after = parameters.get("job", ""), parameters.get("after") or None
    found = await processor_of(request).schedules(PAGE, after, job=job or None)
    views: Views = request.app.state.views
    return await views.page(
        request, "schedules.html", schedules=found.schedules, next=found.next, job=job, after=after
    )


async def listed(request: Request) -> Response:
    """Return a page of schedules."""
    found = await processor_of(request).schedules(
        number_of(request.query_params, "limit", PAGE),
        request.query_params.get("after") or None,
        job=request.query_params.get("job") or None,
    )
    shown = [_shown(request, each) for each in found.schedules]
    return JSONResponse({"schedules": shown, "next": found.next})


async def one(request: Request) -> Response:
    """Return a schedule."""
    return JSONResponse(_shown(request, await _found(request)))


async def put(request: Request) -> Response:
    """Make a schedule, or change it; the job and its payload are checked."""
    fields = await json_of(request)
    if not isinstance(fields, dict) or not fields.keys() <= _FIELDS or "job" not in fields:
        told = f"allowed is an object with job and, if needed, {', '.join(sorted(_FIELDS))}"
        raise InvalidArgumentError("body", Unshown(fields), told)
    given = {name: value for name, value in fields.items() if value is not None}
    for name in given.keys() & {*_TIMES}:
        given[name] = time_of(str(given[name]), name)
    name = request.path_params["name"]
    async with audited(request, "put_schedule", name):
        made = await processor_of(request).put_schedule(name, **given)
    return JSONResponse(_shown(request, made))


async def pause(request: Request) -> Response:
    """Let a schedule make nothing until it is resumed."""
    check_unforged(request)
    name = request.path_params["name"]
    async with audited(request, "pause_schedule", name):
        paused = await processor_of(request).pause_schedule(name)
    return JSONResponse(_shown(request, paused))


async def resume(request: Request) -> Response:
    """Let a schedule go on."""
    check_unforged(request)
    name = request.path_params["name"]
    async with audited(request, "resume_schedule", name):
        resumed = await processor_of(request).resume_schedule(name)
    return JSONResponse(_shown(request, resumed))


async def remove(request: Request) -> Response:
    """Remove a schedule; its jobs stay."""
    check_unforged(request)
    name = request.path_params["name"]
    async with audited(request, "remove_schedule", name):
        if not await processor_of(request).remove_schedule(name):
            raise ScheduleNotFoundError(name)
    return Response(status_code=204)


async def _found(request: Request) -> Schedule:
    name = request.path_params["name"]
    found = await processor_of(request).get_schedule(name)
    if found is None:
        raise ScheduleNotFoundError(name)
    return found


def _shown(request: Request, schedule: Schedule) -> dict[str, Any]:
    """Return a schedule in plain JSON, with what nobody is to read left out."""
    shown: dict[str, Any] = request.app.state.redact(schedule_json(schedule))
    return shown
