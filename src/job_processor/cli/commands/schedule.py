"""`schedule`: puts a job of an application into its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import AppError, UsageError
from job_processor.cli.app.options import App, Json
from job_processor.cli.app.output import plain, print_json, say
from job_processor.cli.app.reading import read_labels, read_number, read_payload
from job_processor.cli.app.source import ONCE, find_app
from job_processor.settings import IN_MEMORY

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from job_processor.cli.app import loading
    from job_processor.models import SimpleJob


def schedule(
    app: App = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The name of a job of APP, alone where APP is set."),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="What its handler gets: a JSON object; - reads it from stdin."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="A time in ISO 8601 with its zone, such as 2030-01-31T08:00+01:00, or a delay "
            "such as 10s, 5m, 2h, 1d. [default: now]",
        ),
    ] = None,
    priority: Annotated[
        str | None,
        typer.Option(metavar="N", help="0 to 9, the highest is run first. [default: 0]"),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="What it can be found by; may be given several times."),
    ] = None,
    json: Json = False,
) -> None:
    """Schedule the job NAME of APP, to be run by a worker."""
    import asyncio

    from job_processor.as_json import job_json
    from job_processor.cli.app.loading import load_app
    from job_processor.cli.app.when import parse_when

    if name is None:  # what stands alone is the name
        app, name = None, app
    if name is None:
        raise UsageError("which job? Give NAME, the name of a job of the application")
    source = find_app(app, "APP")
    if source is None:
        raise UsageError(f"NAME: {plain(name)!r} is the name of a job of which application? {ONCE}")
    content = read_payload(payload) if payload is not None else None
    when = parse_when(at) if at is not None else None
    urgency = read_number("--priority", priority) if priority is not None else 0
    labels = read_labels(label)
    job = asyncio.run(_schedule(load_app(source), name, content, when, urgency, labels))
    if json:
        print_json(job_json(job))
    else:
        say(_told(job))


async def _schedule(
    app: loading.App,
    name: str,
    payload: dict[str, Any] | None,
    when: datetime | timedelta | None,
    priority: int,
    labels: list[str] | None,
) -> SimpleJob:
    async with await app.processor() as processor:
        if processor.address.startswith(IN_MEMORY):  # a file has a path for its address
            raise AppError(
                f"the database of {app.spec!r} is in memory, and the job would be gone at once; "
                "allowed is a database that a worker can share",
                app.source.by,
            )
        async with audited(processor, "schedule", name):
            return await processor.schedule_job(name, payload, when, priority, labels=labels)


def _told(job: SimpleJob) -> str:
    from job_processor.as_json import job_json
    from job_processor.cli.app.when import relative
    from job_processor.cli.views import tables

    who = f"job {plain(job.name)!r} ({job.id})"
    if job.status == "skipped":
        conflict = tables.detail(job_json(job)).plain
        return f"Stored {who} as skipped: it is exclusive, and {conflict}."
    return f"Scheduled {who}, due {relative(job.scheduled_for, job.created_at)}."
