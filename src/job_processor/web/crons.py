"""Crons: the table of all, with their last runs and next occurrences."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from job_processor.crons.manage import CronInfo, find_crons, last_runs
from job_processor.store.summaries import JobSummary
from job_processor.web.carried import parts_of, views_of
from job_processor.web.fitting import fitting
from job_processor.web.reading import number_of

PAGE = 25
"""Crons of a page at the most."""

RUNS = 10
"""Marks of a strip."""


async def listed(request: Request) -> Response:
    """The crons of the database by name, those with a text in their name."""
    parameters, parts = request.query_params, parts_of(request)
    text, skip = parameters.get("q", "").strip()[:200], max(number_of(parameters, "skip", 0), 0)
    page = await find_crons(parts, None, PAGE, text=text, skip=skip)
    shown = page.crons[: fitting([cron.name for cron in page.crons])]
    following = skip + len(shown)
    return await views_of(request).page(
        request,
        "crons.html",
        crons=list(zip(shown, await strips(request, shown), strict=True)),
        total=page.total,
        q=text,
        skip=skip,
        next=str(following) if following < page.total else None,
        few=following == page.total and not skip and not text,
    )


async def strips(request: Request, crons: tuple[CronInfo, ...]) -> list[list[dict[str, Any]]]:
    """Return the marks of the last runs of each cron, the oldest first."""
    redaction = request.app.state.redaction
    found = await last_runs(parts_of(request), [cron.name for cron in crons], RUNS, redaction)
    return [[_mark(job) for job in found[cron.name]] for cron in crons]


def _mark(job: JobSummary) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "status": job.status.value,
        "duration_ms": job.output.duration_ms if job.output else None,
        "at": job.started_at or job.scheduled_for,
    }
