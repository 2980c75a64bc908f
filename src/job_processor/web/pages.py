"""The pages, one for each noun; they read through the facade and change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from job_processor.as_json import group_json
from job_processor.handlers.groups import GroupCounts
from job_processor.models import FAILED, JobStatus
from job_processor.ops.status import get_workers
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import GROUPS_SHOWN
from job_processor.web.access import access_of, who
from job_processor.web.carried import list_jobs, processor_of, redaction_of, views_of
from job_processor.web.job_list import row_of
from job_processor.web.live import Hub
from job_processor.web.problems import problem, title_of
from job_processor.web.reading import group_of

PAGE = 50
_CHILDREN = 100  # of what comes after a job, the first ones
_STEPS = 100  # of a job, the last ones; its JSON has all
_MEMBERS = 25  # of a group: those that failed, then the newest; there is a link to all


async def groups(request: Request) -> Response:
    """The newest groups."""
    found = await processor_of(request).find_groups(after=request.query_params.get("after") or None)
    return await views_of(request).page(
        request,
        "groups.html",
        groups=[group_json(each) for each in found],
        next=str(found[-1].id) if len(found) == GROUPS_SHOWN else None,
    )


async def group(request: Request) -> Response:
    """One group: its members by name and state, those that failed first."""
    group = await group_of(request)
    info = await group.info()
    counts = info.counts
    failed = await asyncio.gather(
        *(
            list_jobs(request, status=status, group=group.id, limit=_MEMBERS)
            for status in sorted(FAILED)
        )
    )
    others = await list_jobs(request, group=group.id, limit=_MEMBERS)
    shown = [job for page in failed for job in page.jobs][:_MEMBERS]
    known = {job.id for job in shown}
    shown += [job for job in others.jobs if job.id not in known]
    return await views_of(request).page(
        request,
        "group.html",
        group=group_json(info),
        members=[_of_name(name, of_name) for name, of_name in sorted(counts.by_name.items())],
        jobs=[row_of(job, datetime.now(UTC)) for job in shown[:_MEMBERS]],
        over=info.is_over,
    )


def _of_name(name: str, of_name: Mapping[JobStatus, int]) -> dict[str, Any]:
    """Return what the box of all members of a name shows."""
    counts = GroupCounts({name: of_name})
    return {
        "name": name,
        "ended": counts.ended,
        "total": counts.total,
        "counts": {status.value: of_name[status] for status in _STATUSES if of_name.get(status)},
    }


async def workers(request: Request) -> Response:
    """The registered workers."""
    processor = processor_of(request)
    groups, pauses = await asyncio.gather(
        get_workers(ready_parts_of(processor).store, redaction_of(request)), processor.get_pauses()
    )
    return await views_of(request).page(
        request, "workers.html", groups=groups, pauses=pauses, tags=_tags(processor)
    )


async def audit(request: Request) -> Response:
    """Who did what."""
    entries = await processor_of(request).get_audit(200)
    return await views_of(request).page(request, "audit.html", entries=entries)


async def live(request: Request) -> Response:
    """Tell a page that something changed, for as long as it listens and may look."""
    hub: Hub = request.app.state.hub
    reader = who(request)
    if not hub.has_room(reader):
        return problem(503, "too many pages listen", headers={"retry-after": "10"})

    async def may_look() -> bool:
        return await access_of(request.app.state.access, request) != "forbidden"

    return StreamingResponse(
        hub.messages(reader, may_look),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def error_page(request: Request, status: int, detail: str, error: Exception) -> HTMLResponse:
    """Return a page that says what is wrong."""
    title = title_of(error, status)
    return await views_of(request).page(
        request, "error.html", status, title=title, detail=detail, code=status
    )


_STATUSES = tuple(status for status in JobStatus if status is not JobStatus.ACTIVE)


def _tags(processor: JobProcessor) -> list[str]:
    return processor.registry.tags
