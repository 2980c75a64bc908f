"""Every command with its arguments and options.

What a command does is in a file of its own, imported only when it runs: `--help` stays quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from job_processor.cli.failing import report_failures
from job_processor.cli.streams import prepare_streams

app = typer.Typer(
    name="job-processor",
    help="Run and watch background jobs and crons.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input.",
    rich_markup_mode=None,  # what renders it takes longer to import than all the rest
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


App = Annotated[
    str,
    typer.Argument(
        metavar="APP",
        help="module:attribute, such as shop.jobs:processor. The attribute is a JobProcessor, or "
        "a function without arguments, sync or async, that returns one.",
    ),
]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        envvar="JOB_PROCESSOR_DB",
        show_envvar=False,
        help="mongodb://host/name, sqlite:///file.db (relative) or sqlite:////abs/file.db. "
        "[default: $JOB_PROCESSOR_DB, else sqlite:///job_processor.db]",
    ),
]
Prefix = Annotated[
    str,
    typer.Option("--prefix", metavar="NAME", help="The collection_prefix of the application."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of a job or cron task.")]
DEFAULT_PREFIX = "job_processor"


def main() -> None:
    """Run the command that the arguments name and leave with its exit code."""
    prepare_streams()
    with report_failures():
        try:
            app(prog_name="job-processor")
        finally:
            sys.stdout.flush()


def _print_version(wanted: bool) -> None:
    if wanted:
        from job_processor.version import version  # noqa: PLC0415  # slow, and rarely wanted

        typer.echo(f"job-processor {version()}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def worker(
    app: App,
    tags: Annotated[
        str | None,
        typer.Option(
            metavar="TAG,TAG…",
            help="Serve only definitions with one of these tags, or without a tag. "
            "[default: as the application says]",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="N", help="Jobs to run at a time. [default: as the application says]"),
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when nothing is due.")] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Show log lines from this level on: debug, info, warning or error. "
            "[default: info; warning on a terminal, where a live view tells the rest]",
        ),
    ] = None,
    loop: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The event loop: asyncio, uvloop, or auto, which is uvloop where it is installed.",
        ),
    ] = "auto",
) -> None:
    """Run the jobs and crons of APP until SIGTERM or SIGINT (Ctrl-C).

    The first signal stops gracefully: no new jobs, those that run get time to end. A second
    SIGINT forces them to stop, a third leaves at once, like a crash.
    """
    from job_processor.cli import worker as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(
        command.run(
            app,
            tags=tags,
            concurrency=concurrency,
            burst=burst,
            log_level=log_level,
            loop=loop,
        )
    )


@app.command()
def schedule(
    app: App,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a job of APP.")],
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
    json: Json = False,
) -> None:
    """Schedule the job NAME of APP, to be run by a worker."""
    from job_processor.cli import schedule as command  # noqa: PLC0415  # only it needs it

    command.run(app, name, payload=payload, at=at, priority=priority, as_json=json)


@app.command()
def status(db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Show workers, jobs by name and status, crons, and what is due."""
    from job_processor.cli import status as command  # noqa: PLC0415  # only this command needs it

    command.run(db, prefix, as_json=json)


@app.command()
def jobs(
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this name.")] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="Only pending, running, finished, errored, paused, killed or skipped.",
        ),
    ] = None,
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Only simple (jobs) or cron_task.")
    ] = None,
    limit: Annotated[str, typer.Option(metavar="N", help="At most so many, up to 1000.")] = "50",
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="The page that follows this job.")
    ] = None,
    json: Json = False,
) -> None:
    """List jobs and cron tasks, the newest first."""
    from job_processor.cli import jobs as command  # noqa: PLC0415  # only this command needs it

    query = command.Query(name=name, status=status, type=type, limit=limit, after=after)
    command.list_jobs(db, prefix, query, as_json=json)


@app.command()
def kill(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Kill the job ID, whether it waits or runs."""
    from job_processor.cli import jobs as command  # noqa: PLC0415  # only this command needs it

    command.kill(db, prefix, id, as_json=json)


@app.command()
def crons(db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """List crons: when they fire next, and how they went."""
    from job_processor.cli import crons as command  # noqa: PLC0415  # only this command needs it

    command.run(db, prefix, as_json=json)


@app.command()
def demo(
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            help="Use and keep this database. [default: a temporary SQLite file]",
        ),
    ] = None,
) -> None:
    """See it work: two workers, a few hundred real jobs.

    Jobs that are resumed, skipped, retried, killed and stopped for taking too long, a worker that
    crashes, a cron; and at the end a summary from the database. Everything it stores has the
    prefix job_processor_demo.
    """
    from job_processor.cli.demo import command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.run(db))
