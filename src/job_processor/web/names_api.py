"""The JSON API of names and crons: how they stand, their figures, pauses, a run by hand."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.as_json import job_json, to_json
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.inputs import inputs_of
from job_processor.web import names
from job_processor.web.api import check_unforged
from job_processor.web.auditing import audited
from job_processor.web.carried import processor_of
from job_processor.web.forms import json_of
from job_processor.web.problems import problem


async def listed(request: Request) -> Response:
    """Return names with their figures of a span of time."""
    found = await names.listing(request)
    shown = [{**info.as_json(), **figures.as_json()} for info, figures in found.rows]
    return JSONResponse({"names": shown, "total": found.total, "next": found.next})


async def one(request: Request) -> Response:
    """Return all there is to tell of a name."""
    found = await names.facts(request)
    if not found.is_known:
        return problem(404, "no job and no cron has this name")
    name = found.info.name
    inputs = inputs_of(processor_of(request).registry.jobs.get(name))
    limit, rate = found.limit, found.rate
    told: dict[str, Any] = {
        **found.info.as_json(),
        "spans": {key: each.as_json() for key, each in found.spans.items()},
        "errors": to_json(found.errors),
        "limit": None if limit is None else {"name": limit.name, "amount": limit.amount},
        "rate": None if rate is None else rate.as_json(),
        "inputs": None if inputs is None else [each.as_json() for each in inputs],
    }
    return JSONResponse(told)


async def pauses(request: Request) -> Response:
    """Return the names and tags that are paused."""
    found = await processor_of(request).get_pauses()
    return JSONResponse({"names": sorted(found.names), "tags": sorted(found.tags)})


async def pause(request: Request) -> Response:
    """Pause or resume a name or a tag."""
    fields = await json_of(request)
    if not isinstance(fields, dict) or fields.keys() not in ({"name", "paused"}, {"tag", "paused"}):
        allowed = "allowed is an object with name or tag, and paused"
        raise InvalidArgumentError("body", Unshown(fields), allowed)
    if not isinstance(fields["paused"], bool):
        raise InvalidArgumentError("paused", fields["paused"], "allowed are true and false")
    name, tag = fields.get("name"), fields.get("tag")
    do = "pause" if fields["paused"] else "resume"
    subject = str(name)[:200] if tag is None else f"tag {str(tag)[:200]}"
    async with audited(request, do, subject):
        await getattr(processor_of(request), do)(name, tag=tag)
    return await pauses(request)


async def run_cron(request: Request) -> Response:
    """Let a cron run now, once, beside its schedule."""
    check_unforged(request)
    name = request.path_params["name"]
    async with audited(request, "run_cron", name) as outcome:
        task = await processor_of(request).run_cron(name)
        outcome.told = str(task.id)
    return JSONResponse(job_json(task), status_code=201)
