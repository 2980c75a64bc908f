"""`jobs` and what it does to one or many of them; alone it lists."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.app.options import DEFAULT_PREFIX, Db, JobId, Json, Prefix
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

jobs_app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

Limit = Annotated[str, typer.Option(metavar="N", help="At most so many, up to 1000.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show hidden values, too.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="The page that follows this job.")]


@jobs_app.callback()
def jobs(
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
        _list(db, prefix, selection, limit, after, json)


@jobs_app.command("list")
def list_jobs(
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
    _list(db, prefix, selection, limit, after, json)


def _list(
    db: str | None, prefix: str, selection: Selection, limit: str, after: str | None, json: bool
) -> None:
    from job_processor.cli.commands import jobs as command  # noqa: PLC0415  # only this command needs it

    command.list_jobs(db, prefix, selection, limit, after, as_json=json)


@jobs_app.command()
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
    from job_processor.cli.views import job as command  # noqa: PLC0415  # only this command needs it

    command.show(db, prefix, id, as_json=json, reveal=reveal)


@jobs_app.command()
def watch(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Follow the job ID until it has ended.

    Its progress and its log as they come; exit code 1 unless it finished.
    """
    from job_processor.cli.views import job as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.watch(db, prefix, id, as_json=json))
