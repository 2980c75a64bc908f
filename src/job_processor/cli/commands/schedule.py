"""`schedule`: puts a job of an application into its database."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.failing import AppError
from job_processor.cli.app.loading import App, load_app
from job_processor.cli.app.output import console, plain, print_json
from job_processor.cli.app.reading import read_number, read_payload
from job_processor.cli.app.when import parse_when, relative
from job_processor.cli.views import tables
from job_processor.models import JobStatus, SimpleJob


def run(
    app: str,
    name: str,
    *,
    payload: str | None,
    at: str | None,
    priority: str | None,
    as_json: bool,
) -> None:
    """Schedule a job and print how it was stored."""
    content = read_payload(payload) if payload is not None else None
    when = parse_when(at) if at is not None else None
    urgency = 0
    if priority is not None:
        urgency = read_number("--priority", priority)
    job = asyncio.run(_schedule(load_app(app), name, content, when, urgency))
    if as_json:
        print_json(job_json(job))
    else:
        console().print(Text(_tell(job)))


async def _schedule(
    app: App,
    name: str,
    payload: dict[str, Any] | None,
    when: datetime | timedelta | None,
    priority: int,
) -> SimpleJob:
    async with await app.processor() as processor:
        if processor.address.startswith("sqlite://"):  # a file has a path for its address
            raise AppError(
                f"APP: the database of {app.spec!r} is in memory, and the job would be gone at "
                "once; allowed is a database that a worker can share"
            )
        return await processor.schedule_job(name, payload, when, priority)


def _tell(job: SimpleJob) -> str:
    who = f"job {plain(job.name)!r} ({job.id})"
    if job.status is JobStatus.SKIPPED:
        conflict = tables.detail(job_json(job)).plain
        return f"Stored {who} as skipped: it is exclusive, and {conflict}."
    when = relative(job.scheduled_for, job.created_at)
    return f"Scheduled {who}, due {when}."
