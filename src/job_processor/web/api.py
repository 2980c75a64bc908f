"""The JSON API: what the pages show and do, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.as_json import group_json, job_json, to_json
from job_processor.errors import InvalidArgumentError, JobNotFoundError, Unshown
from job_processor.models import Job
from job_processor.settings import GROUPS_SHOWN
from job_processor.web.auditing import audited
from job_processor.web.carried import processor_of
from job_processor.web.forms import json_of
from job_processor.web.health import AWAY, IDLE, Health
from job_processor.web.problems import problem
from job_processor.web.reading import group_of, number_of, selection_of, time_of

OWN_HEADER = "X-Requested-With"
"""Says of a request without a body that no form of another site sent it."""

PAGE_BYTES = 8 * 1024 * 1024
"""Bytes that the jobs of one page have in the database at the most, unless one has more."""


async def healthz(request: Request) -> Response:
    """Return 200 while a worker is alive and the store answers, else 503."""
    health: Health = request.app.state.health
    workers = await health.workers()
    if workers is None:
        return problem(503, AWAY)
    if workers == 0:
        return problem(503, IDLE)
    return JSONResponse({"status": "ok", "workers": workers})


async def status(request: Request) -> Response:
    """Return `get_status()`, in the shape of the Node package's `ProcessorStatusJson`."""
    return JSONResponse(await processor_of(request).get_status(request.app.state.redaction))


async def jobs(request: Request) -> Response:
    """Return a page of jobs, which ends before they are too large together."""
    page = await processor_of(request).find_jobs(
        max_bytes=PAGE_BYTES,
        limit=number_of(request.query_params, "limit", 50),
        after=request.query_params.get("after") or None,
        before=request.query_params.get("before") or None,
        **_selection(request),
    )
    listed = [_shown(request, job) for job in page.jobs]
    return JSONResponse({"jobs": listed, "next": page.next, "previous": page.previous})


def _selection(request: Request) -> dict[str, Any]:
    """Return what the parameters select; `label` may be there several times."""
    selection = selection_of(request.query_params, request.app.state.redaction)
    labels = [each for each in request.query_params.getlist("label") if each]
    return {**selection, "label": None, "labels": labels} if len(labels) > 1 else selection


async def job(request: Request) -> Response:
    """Return a job."""
    return JSONResponse(_shown(request, await _job(request)))


async def create(request: Request) -> Response:
    """Schedule a job; its payload is checked as `schedule_job` checks it."""
    fields = await json_of(request)
    allowed = {"name", "payload", "scheduled_for", "priority", "labels"}
    if not isinstance(fields, dict) or not fields.keys() <= allowed or "name" not in fields:
        told = f"allowed is an object with name and, if needed, {', '.join(sorted(allowed))}"
        raise InvalidArgumentError("body", Unshown(fields), told)
    moment = fields.get("scheduled_for")
    if moment is not None:
        moment = time_of(str(moment), "scheduled_for")
    name, payload, priority = fields["name"], fields.get("payload"), fields.get("priority") or 0
    async with audited(request, "schedule", name) as outcome:
        made = await processor_of(request).schedule_job(
            name, payload, moment, priority, labels=fields.get("labels")
        )
        outcome.told = str(made.id)
    return JSONResponse(_shown(request, made), status_code=201)


async def kill(request: Request) -> Response:
    """Kill a job."""
    check_unforged(request)
    job_id = request.path_params["id"]
    async with audited(request, "kill", job_id):
        killed = await processor_of(request).kill_job(job_id)
    return JSONResponse(_shown(request, killed))


async def retry(request: Request) -> Response:
    """Send a settled job round again, after the steps that it has done or from its beginning."""
    check_unforged(request)
    job_id = request.path_params["id"]
    options = {name: _switch(request, name) for name in ("from_beginning", "descendants")}
    async with audited(request, "retry", job_id):
        step = request.query_params.get("from_step")
        waiting = await processor_of(request).retry_job(job_id, from_step=step, **options)
    return JSONResponse(_shown(request, waiting))


def _switch(request: Request, name: str) -> bool:
    """Return a parameter that is true or false, and false where it is left out."""
    value = request.query_params.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidArgumentError(name, value[:20], "allowed are true and false")
    return value == "true"


async def delete(request: Request) -> Response:
    """Remove a job that does not run."""
    check_unforged(request)
    job_id = request.path_params["id"]
    async with audited(request, "delete", job_id):
        await processor_of(request).delete_job(job_id)
    return Response(status_code=204)


async def groups(request: Request) -> Response:
    """Return the newest groups, with the counts of their members."""
    limit = number_of(request.query_params, "limit", GROUPS_SHOWN)
    after = request.query_params.get("after") or None
    found = await processor_of(request).find_groups(limit, after)
    return JSONResponse({"groups": [group_json(each) for each in found]})


async def group(request: Request) -> Response:
    """Return a group, with the counts of its members."""
    return JSONResponse(group_json(await (await group_of(request)).info()))


async def kill_group(request: Request) -> Response:
    """Kill the members of a group."""
    return await _act_on_group(request, "kill")


async def retry_group(request: Request) -> Response:
    """Send the members of a group that did not finish round again."""
    return await _act_on_group(request, "retry")


async def _act_on_group(request: Request, action: Literal["kill", "retry"]) -> Response:
    check_unforged(request)
    found = await group_of(request)
    async with audited(request, action, f"group {found.id}"):
        await (found.kill() if action == "kill" else found.retry())
    return JSONResponse(group_json(await found.info()))


async def crons(request: Request) -> Response:
    """Return all crons with their next times."""
    listed = await processor_of(request).get_crons()
    return JSONResponse(
        {"crons": [to_json({**asdict(cron), "upcoming": list(cron.upcoming)}) for cron in listed]}
    )


async def workers(request: Request) -> Response:
    """Return the workers with what they run."""
    health = await processor_of(request).get_healthcheck(request.app.state.redaction)
    return JSONResponse({"workers": health["workers"]})


async def _job(request: Request) -> Job:
    found = await processor_of(request).get_job(request.path_params["id"])
    if found is None:
        raise JobNotFoundError(request.path_params["id"])
    return found


def _shown(request: Request, job: Job) -> dict[str, Any]:
    """Return a job in plain JSON, with what nobody is to read left out."""
    shown: dict[str, Any] = request.app.state.redact(job_json(job))
    return shown


def check_unforged(request: Request) -> None:
    """Refuse what a form of another site could be.

    No page can send JSON, a header of its own or a bearer token to another site without asking it
    first, whatever the browser says of where it comes from.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
    if kind != "application/json" and not bearer and OWN_HEADER not in request.headers:
        allowed = f"allowed is application/json, or any request with the header {OWN_HEADER}"
        raise InvalidArgumentError("content-type", kind[:100], allowed)
