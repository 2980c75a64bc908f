"""`schedule`: puts a job of an application into its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import AppError, UsageError
from job_processor.cli.app.options import App, Json
from job_processor.cli.app.output import plain, print_json, say
from job_processor.cli.app.reading import read_id, read_labels, read_number, read_payload
from job_processor.cli.app.source import ONCE, find_app
from job_processor.settings import IN_MEMORY

if TYPE_CHECKING:
    from job_processor.cli.app import loading
    from job_processor.models import SimpleJob


def schedule(
    app: App = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The name of a job of APP; alone if APP is configured."
        ),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The payload, a JSON object; - reads it from stdin."),
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
        typer.Option(
            metavar="N", help="0 to 9; jobs with the highest priority start first. [default: 0]"
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="A label to find it by; may be given several times."),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="The id of a job or group that must finish first; may be given several times.",
        ),
    ] = None,
    on_parent_failure: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="What happens if one of --after fails: skip, run or wait. [default: skip]",
        ),
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
    parents = _parents(after, on_parent_failure)
    options = {"labels": read_labels(label), "on_parent_failure": on_parent_failure}
    job = asyncio.run(_schedule(load_app(source), parents, name, content, when, urgency, **options))
    if json:
        print_json(job_json(job))
    else:
        say(_told(job))


def _parents(after: list[str] | None, rule: str | None) -> list[str]:
    """Return the ids of what has to end before."""
    if rule is not None and not after:
        raise UsageError("--on-parent-failure is about a failure of --after: give that, too")
    for parent in after or ():
        read_id("--after", parent)
    return after or []


async def _schedule(
    app: loading.App, after: list[str], name: str, *given: Any, **options: Any
) -> SimpleJob:
    """Schedule a job; given, options: as `schedule_job` takes them."""
    async with await app.processor() as processor:
        if processor.address.startswith(IN_MEMORY):  # a file has a path for its address
            raise AppError(
                f"the database of {app.spec!r} is in memory, and the job would be lost at once; "
                "allowed is a database that a worker can share",
                app.source.by,
            )
        async with audited(processor, "schedule", name):
            parents = [await processor.get_group(id) or id for id in after] or None
            return await processor.schedule_job(name, *given, after=parents, **options)


def _told(job: SimpleJob) -> str:
    from job_processor.as_json import job_json
    from job_processor.cli.app.when import relative
    from job_processor.cli.views import tables

    who = f"job {plain(job.name)!r} ({job.id})"
    shown = job_json(job)
    if job.status == "skipped":
        reason = tables.detail(shown).plain
        because = reason if job.after else f"it is exclusive, and {reason}"
        return f"Stored {who} as skipped: {because}."
    if "waits_for" in shown:
        return f"Scheduled {who}; it waits for {plain(shown['waits_for'])}."
    return f"Scheduled {who}, due {relative(job.scheduled_for, job.created_at)}."
