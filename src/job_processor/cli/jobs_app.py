"""`jobs` and what it does to one of them; alone it lists."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.options import DEFAULT_PREFIX, Db, JobId, Json, Prefix

jobs_app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

Name = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this name.")]
Status = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS",
        help="Only pending, running, finished, errored, paused, killed or skipped.",
    ),
]
Type = Annotated[str | None, typer.Option(metavar="TYPE", help="Only simple (jobs) or cron_task.")]
Limit = Annotated[str, typer.Option(metavar="N", help="At most so many, up to 1000.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="The page that follows this job.")]


@jobs_app.callback()
def jobs(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    limit: Limit = "50",
    after: After = None,
    json: Json = False,
) -> None:
    """List jobs; or show, watch, retry or kill one.

    Without a command: jobs and cron tasks, the newest first.
    """
    if context.invoked_subcommand is None:
        list_jobs(db, prefix, name, status, type, limit, after, json)


@jobs_app.command("list")
def list_jobs(
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    name: Name = None,
    status: Status = None,
    type: Type = None,
    limit: Limit = "50",
    after: After = None,
    json: Json = False,
) -> None:
    """List jobs and cron tasks, the newest first."""
    from job_processor.cli import jobs as command  # noqa: PLC0415  # only this command needs it

    query = command.Query(name=name, status=status, type=type, limit=limit, after=after)
    command.list_jobs(db, prefix, query, as_json=json)


@jobs_app.command()
def show(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Show the job ID in detail.

    Times, attempts, progress, payload, result, error and log.
    """
    from job_processor.cli import job as command  # noqa: PLC0415  # only this command needs it

    command.show(db, prefix, id, as_json=json)


@jobs_app.command()
def watch(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Follow the job ID until it has ended.

    Its progress and its log as they come; exit code 1 unless it finished.
    """
    from job_processor.cli import job as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.watch(db, prefix, id, as_json=json))


@jobs_app.command()
def retry(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Send the job ID, which has ended, round again."""
    from job_processor.cli import jobs as command  # noqa: PLC0415  # only this command needs it

    command.retry(db, prefix, id, as_json=json)


@jobs_app.command()
def kill(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Kill the job ID, whether it waits or runs."""
    from job_processor.cli import jobs as command  # noqa: PLC0415  # only this command needs it

    command.kill(db, prefix, id, as_json=json)
