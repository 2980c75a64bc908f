"""Every command with its arguments and options.

What a command does is in a file of its own, imported only when it runs: `--help` stays quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from job_processor.cli.app.failing import report_failures
from job_processor.cli.app.options import DEFAULT_PREFIX, App, Db, JobId, Json, Paused, Prefix, Tag
from job_processor.cli.app.streams import prepare_streams
from job_processor.cli.commands.bulk_app import jobs_app  # with all that is done to jobs
from job_processor.cli.commands.crons_app import crons_app
from job_processor.cli.commands.project_app import check, init
from job_processor.cli.commands.worker import worker

app = typer.Typer(
    name="job-processor",
    help="Run and watch background jobs and crons.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input.",
    rich_markup_mode=None,  # what renders it takes longer to import than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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


app.command()(init)
app.command()(check)
app.command()(worker)


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
    from job_processor.cli.commands import schedule as command  # noqa: PLC0415  # only it needs it

    command.run(app, name, payload=payload, at=at, priority=priority, as_json=json)


@app.command()
def status(db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Show workers, counts of jobs, crons, and what is due."""
    from job_processor.cli.commands import status as command  # noqa: PLC0415  # only this command needs it

    command.run(db, prefix, as_json=json)


@app.command()
def top(
    interval: Annotated[
        str, typer.Option(metavar="SECONDS", help="Between two looks at the database.")
    ] = "1",
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    json: Json = False,
) -> None:
    """Watch workers, queue, running jobs and rates.

    Until Ctrl-C. Where the output is no terminal, and with --once, it prints a single frame.
    """
    from job_processor.cli.commands import top as command  # noqa: PLC0415  # only this command needs it

    command.run(db, prefix, interval, once=once, as_json=json)


app.add_typer(jobs_app, name="jobs")


@app.command()
def kill(id: JobId, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Kill the job ID, whether it waits or runs."""
    from job_processor.cli.commands import jobs as command  # noqa: PLC0415  # only this command needs it

    command.kill(db, prefix, id, as_json=json)


app.add_typer(crons_app, name="crons")


@app.command()
def pause(
    name: Paused = None,
    tag: Tag = None,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    json: Json = False,
) -> None:
    """Pause NAME, or a tag, for all workers.

    None of them begins anything of it, within a second; what runs goes on.
    """
    from job_processor.cli.views import pauses as command  # noqa: PLC0415  # only this command needs it

    command.pause(db, prefix, name, tag, as_json=json)


@app.command()
def resume(
    name: Paused = None,
    tag: Tag = None,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    json: Json = False,
) -> None:
    """End the pause of NAME, or of a tag."""
    from job_processor.cli.views import pauses as command  # noqa: PLC0415  # only this command needs it

    command.resume(db, prefix, name, tag, as_json=json)


@app.command("migrate-from-node")
def migrate_from_node(
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    apply: Annotated[bool, typer.Option("--apply", help="Make the changes.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put the validator of the Node package back.")
    ] = False,
    json: Json = False,
) -> None:
    """Report what a move from the Node package would change.

    And what its database holds. Changes nothing without --apply, and may be repeated. Leaves with
    1 while something stands in the way, such as a living Node worker without workerTags.
    """
    from job_processor.cli.commands import migrate_from_node as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.run(db, prefix, apply=apply, undo=undo, as_json=json))


@app.command()
def web(
    app: App,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Others than 127.0.0.1 need a login.")
    ] = "127.0.0.1",
    port: Annotated[str, typer.Option(metavar="N", help="The port.")] = "8000",
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="Who gives it may come in: as a bearer token, or as the password of any user. At "
            "least 16 characters. [default: $JOB_PROCESSOR_WEB_TOKEN]",
        ),
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:PASSWORD",
            help="Who gives these may come in. [default: $JOB_PROCESSOR_WEB_LOGIN]",
        ),
    ] = None,
    no_login: Annotated[
        bool,
        typer.Option("--no-login", help="Let every user of this machine see and do all."),
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, change nothing.")
    ] = False,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="HOST",
            help="A name that it answers to; may be given several times. [default: with a login "
            "any, without one those of this machine]",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="The path under which a proxy shows it, and which it takes away."
        ),
    ] = "",
    proxies: Annotated[
        str,
        typer.Option(
            "--forwarded-allow-ips",
            metavar="ADDRESS,…",
            help="Proxies, or networks of them, whose X-Forwarded-For, -Host and -Proto are "
            "believed. [default: none]",
        ),
    ] = "",
) -> None:
    """Serve the dashboard of APP until it is stopped.

    Without a login it makes a token and prints the address with it, on a terminal.
    """
    from job_processor.cli.commands import web as command  # noqa: PLC0415  # only this command needs it

    command.run(
        app,
        command.WebOptions(
            host=host,
            port=port,
            token=token,
            login=login,
            no_login=no_login,
            read_only=read_only,
            allowed_hosts=allowed_hosts or (),
            root_path=root_path,
            proxies=proxies,
        ),
    )


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
    json: Json = False,
) -> None:
    """See it work: two workers, a few hundred real jobs.

    Jobs that are resumed, skipped, retried, killed and stopped for taking too long, a worker that
    crashes, a cron; and at the end a summary from the database. Everything it stores has the
    prefix job_processor_demo.
    """
    from job_processor.cli.demo import play as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.run(db, as_json=json))
