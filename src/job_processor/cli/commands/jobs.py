"""`jobs`: lists them; shows one, follows one, and acts on some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.groups import lists
from job_processor.cli.app.options import AppOption, Db, JobId, Json, Prefix
from job_processor.cli.app.output import console, print_json, say
from job_processor.cli.app.reading import read_id, read_limit
from job_processor.cli.app.selection import (
    Error,
    Lane,
    Name,
    OfFlow,
    OfGroup,
    OfLabel,
    OfTag,
    Payload,
    Selection,
    Since,
    Status,
    Type,
    Until,
    Worker,
    check_tag,
)
from job_processor.cli.commands import actions

if TYPE_CHECKING:
    from job_processor.jobs.pages import JobPage
    from job_processor.models import Job
    from job_processor.processor import JobProcessor
    from job_processor.store.summaries import SummaryPage

_PAGE_BYTES = 8 * 1024 * 1024  # of the jobs of one page, in the database

Limit = Annotated[str, typer.Option(metavar="N", help="How many to list, at most 1000.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Also show hidden values.")]
After = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Only jobs that follow this one in the list: the next page."),
]

jobs = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@jobs.callback()
def _jobs(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    tag: OfTag = None,
    since: Since = None,
    until: Until = None,
    worker: Worker = None,
    error: Error = None,
    payload: Payload = None,
    lane: Lane = None,
    group: OfGroup = None,
    flow: OfFlow = None,
    label: OfLabel = None,
    limit: Limit = "50",
    after: After = None,
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """List jobs; or show, watch, retry, kill or delete some.

    Without a command: jobs and cron tasks, the newest first.
    """
    if lists(context):
        selection = Selection(
            name, status, type, tag, since, until, worker, error, payload, lane, group, flow, label
        )
        _list(Place(db, prefix, app), selection, limit, after, reveal=reveal, as_json=json)


@jobs.command("list")
def _list_jobs(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    tag: OfTag = None,
    since: Since = None,
    until: Until = None,
    worker: Worker = None,
    error: Error = None,
    payload: Payload = None,
    lane: Lane = None,
    group: OfGroup = None,
    flow: OfFlow = None,
    label: OfLabel = None,
    limit: Limit = "50",
    after: After = None,
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """List jobs and cron tasks, the newest first."""
    selection = Selection(
        name, status, type, tag, since, until, worker, error, payload, lane, group, flow, label
    )
    _list(Place(db, prefix, app), selection, limit, after, reveal=reveal, as_json=json)


def _list(
    place: Place,
    selection: Selection,
    limit: str,
    after: str | None,
    *,
    reveal: bool,
    as_json: bool,
) -> None:
    """Print a page of jobs and how to get the next."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from job_processor.as_json import job_json
    from job_processor.cli.views import job, tables
    from job_processor.redaction import Redaction

    arguments = selection.arguments()
    most = read_limit(limit)
    if after is not None:
        read_id("--after", after)

    async def find(processor: JobProcessor) -> tuple[str, JobPage | SummaryPage]:
        page: JobPage | SummaryPage
        await check_tag(processor, selection.tag)
        if as_json:
            found = await processor.find_jobs(
                limit=most, after=after, max_bytes=_PAGE_BYTES, **arguments
            )
            page = found if reveal else replace(found, jobs=tuple(map(job.hidden, found.jobs)))
        else:
            hiding = None if reveal else Redaction()
            page = await processor.list_jobs(limit=most, after=after, redaction=hiding, **arguments)
        return processor.address, page

    address, page = ask(place, find)
    found = [job_json(each) for each in page.jobs]
    if as_json:
        print_json({"jobs": found, "next": page.next})
        return
    if found:
        console().print(tables.jobs_table(found, datetime.now(UTC)))
    else:
        say(f"There are no such jobs in {address}{' so far' if page.next else ''}.")
    if page.next:
        told = "There are more" if len(found) == most else "To look further"
        say(f"\n{told}: --after {page.next}", "dim")


@jobs.command()
def show(
    id: JobId,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """Show the job ID in detail.

    Times, attempts, parents and children, progress, payload, result, error and log.
    Values of fields whose names suggest secrets, such as password and token, are hidden in all
    of it.
    """
    from job_processor.as_json import job_json
    from job_processor.cli.views import job as view

    read_id("ID", id)

    async def read(processor: JobProcessor) -> tuple[Job, view.Related]:
        job = await view.read(processor, id, reveal=reveal)
        return job, await view.related(processor, job)

    job, related = ask(Place(db, prefix, app), read)
    if json:
        print_json(job_json(job) | view.related_json(related))
    else:
        view.show(job, console(), related)


@jobs.command()
def watch(
    id: JobId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Follow the job ID until it has ended.

    Shows its progress and log. Exits with 1 unless it finished.
    """
    from job_processor.cli.views import job, watching

    read_id("ID", id)
    ended = ask(
        Place(db, prefix, app), lambda processor: watching.follow(processor, id, as_json=json)
    )
    if not json:
        console().print(job.ending(ended))
    raise typer.Exit(DONE if ended.status == "finished" else FAILED)


for _action, _summary in actions.ACTIONS.items():
    jobs.command(_action, help=_summary)(actions.command(_action))

jobs.command("replay", help=actions.REPLAY)(actions.command("retry", dead=True))
