"""`jobs`: lists them; shows one, follows one, and acts on some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.options import DEFAULT_PREFIX, Db, JobId, Json, Prefix
from job_processor.cli.app.output import console, print_json, say
from job_processor.cli.app.reading import read_number
from job_processor.cli.app.selection import (
    Error,
    Name,
    Payload,
    Selection,
    Since,
    Status,
    Type,
    Until,
    Worker,
)
from job_processor.cli.commands import actions

if TYPE_CHECKING:
    from job_processor.jobs.pages import JobPage
    from job_processor.processor import JobProcessor
    from job_processor.store.summaries import SummaryPage

_PAGE_BYTES = 8 * 1024 * 1024  # of the jobs of one page, in the database

Limit = Annotated[str, typer.Option(metavar="N", help="At most so many, up to 1000.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show hidden values, too.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="The page that follows this job.")]

jobs = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@jobs.callback()
def _jobs(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    since: Since = None,
    until: Until = None,
    worker: Worker = None,
    error: Error = None,
    payload: Payload = None,
    limit: Limit = "50",
    after: After = None,
    json: Json = False,
) -> None:
    """List jobs; or show, watch, retry, kill or delete some.

    Without a command: jobs and cron tasks, the newest first.
    """
    if context.invoked_subcommand is None:
        selection = Selection(name, status, type, since, until, worker, error, payload)
        _list(db, prefix, selection, limit, after, as_json=json)


@jobs.command("list")
def _list_jobs(
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    since: Since = None,
    until: Until = None,
    worker: Worker = None,
    error: Error = None,
    payload: Payload = None,
    limit: Limit = "50",
    after: After = None,
    json: Json = False,
) -> None:
    """List jobs and cron tasks, the newest first."""
    selection = Selection(name, status, type, since, until, worker, error, payload)
    _list(db, prefix, selection, limit, after, as_json=json)


def _list(
    db: str | None,
    prefix: str,
    selection: Selection,
    limit: str,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    """Print a page of jobs and how to get the next."""
    from datetime import UTC, datetime

    from job_processor.as_json import job_json
    from job_processor.cli.views import tables

    arguments = selection.arguments()
    most = read_number("--limit", limit)

    async def find(processor: JobProcessor) -> tuple[str, JobPage | SummaryPage]:
        page: JobPage | SummaryPage
        if as_json:
            page = await processor.find_jobs(
                limit=most, after=after, max_bytes=_PAGE_BYTES, **arguments
            )
        else:
            page = await processor.list_jobs(limit=most, after=after, **arguments)
        return processor.address, page

    address, page = ask(db, prefix, find)
    found = [job_json(job) for job in page.jobs]
    if as_json:
        print_json({"jobs": found, "next": page.next})
        return
    if found:
        console().print(tables.jobs_table(found, datetime.now(UTC)))
    else:
        say(f"There are no such jobs in {address}.")
    if page.next:
        say(f"\nThere are more: --after {page.next}", "dim")


@jobs.command()
def show(
    id: JobId,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """Show the job ID in detail.

    Times, attempts, progress, payload, result, error and log. Values of fields whose names tell of
    secrets, such as password and token, are hidden in all of it.
    """
    from job_processor.as_json import job_json
    from job_processor.cli.views import job as view

    job = ask(db, prefix, lambda processor: view.read(processor, id, reveal=reveal))
    if json:
        print_json(job_json(job))
    else:
        view.show(job, console())


@jobs.command()
def watch(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Follow the job ID until it has ended.

    Its progress and its log as they come; exit code 1 unless it finished.
    """
    from job_processor.cli.views import job, watching

    ended = ask(db, prefix, lambda processor: watching.follow(processor, id, as_json=json))
    if not json:
        console().print(job.ending(ended))
    raise typer.Exit(DONE if ended.status == "finished" else FAILED)


for _action, _summary in actions.ACTIONS.items():
    jobs.command(_action, help=_summary)(actions.command(_action))
