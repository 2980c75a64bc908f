"""Flows: their page, and what programs may do with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.as_json import flow_json, flow_summary_json
from job_processor.errors import FlowNotFoundError
from job_processor.handlers.flows import FlowInfo
from job_processor.models import FAILED, JobStatus
from job_processor.redaction import Redaction
from job_processor.settings import GROUPS_SHOWN
from job_processor.store.summaries import JobSummary
from job_processor.web.api import check_unforged
from job_processor.web.auditing import audited
from job_processor.web.carried import processor_of
from job_processor.web.job_list import row_of
from job_processor.web.reading import number_of
from job_processor.web.views import Views

_FAILURES = 20


async def newest(request: Request) -> Response:
    """The newest flows."""
    found = await processor_of(request).find_flows(after=request.query_params.get("after") or None)
    views: Views = request.app.state.views
    return await views.page(
        request,
        "flows.html",
        flows=[flow_summary_json(each) for each in found],
        next=str(found[-1].id) if len(found) == GROUPS_SHOWN else None,
    )


async def page(request: Request) -> Response:
    """One flow: its levels, and what failed in it."""
    info, now = await _found(request), datetime.now(UTC)
    views: Views = request.app.state.views
    return await views.page(
        request,
        "flow.html",
        flow=flow_json(info),
        failed=[row_of(job, now) for job in await _failed(request, info)],
        over=not info.counts.active,
    )


async def many(request: Request) -> Response:
    """Return the newest flows, with the counts of their jobs."""
    limit = number_of(request.query_params, "limit", GROUPS_SHOWN)
    found = await processor_of(request).find_flows(limit, request.query_params.get("after") or None)
    return JSONResponse({"flows": [flow_summary_json(each) for each in found]})


async def one(request: Request) -> Response:
    """Return a flow: its levels and counts."""
    return JSONResponse(flow_json(await _found(request)))


async def kill(request: Request) -> Response:
    """Kill what is active in a flow."""
    return await _act(request, "kill")


async def retry(request: Request) -> Response:
    """Send what failed in a flow round again."""
    return await _act(request, "retry")


async def _act(request: Request, action: Literal["kill", "retry"]) -> Response:
    check_unforged(request)
    processor, found = processor_of(request), await _found(request)
    async with audited(request, action, f"flow {found.id}"):
        await (processor.kill_flow if action == "kill" else processor.retry_flow)(found.id)
    return JSONResponse(flow_json(await _found(request)))


async def _failed(request: Request, info: FlowInfo) -> list[JobSummary]:
    """Return some of the jobs that did not finish, those that ended by themselves first."""
    order = (JobStatus.ERRORED, JobStatus.KILLED, JobStatus.SKIPPED)
    wanted = [status for status in order if status in FAILED and info.counts[status]]
    redaction: Redaction = request.app.state.redaction
    pages = await asyncio.gather(
        *(
            processor_of(request).list_jobs(
                status=status, flow=info.id, limit=_FAILURES, redaction=redaction
            )
            for status in wanted
        )
    )
    return [job for page in pages for job in page.jobs][:_FAILURES]


async def _found(request: Request) -> FlowInfo:
    flow_id = request.path_params["id"]
    found = await processor_of(request).get_flow(flow_id)
    if found is None:
        raise FlowNotFoundError(flow_id)
    return found
