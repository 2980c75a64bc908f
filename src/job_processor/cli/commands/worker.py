"""`worker` with its arguments and options."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.app.options import App


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
    processes: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Keep so many worker processes running, each with a concurrency of its own.",
        ),
    ] = "1",
    burst: Annotated[bool, typer.Option("--burst", help="End when nothing is due.")] = False,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            help="For development: start again when a Python file below the working directory "
            "changes.",
        ),
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Show log lines from this level on: debug, info, warning or error. "
            "[default: info; warning on a terminal, where a live view tells the rest]",
            autocompletion=lambda: ["debug", "info", "warning", "error"],
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Write log lines as console or json, each with the job that it is of, whatever "
            "the application has set up. [default: console, or as the application says]",
            autocompletion=lambda: ["console", "json"],
        ),
    ] = None,
    metrics_port: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS:]N",
            help="Serve metrics for Prometheus on this port, of 127.0.0.1 unless an address is "
            "given; several processes use as many ports, from this one on.",
        ),
    ] = None,
    loop: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The event loop: asyncio, uvloop, or auto, which is uvloop where it is installed.",
            autocompletion=lambda: ["auto", "asyncio", "uvloop"],
        ),
    ] = "auto",
    supervised: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs and crons of APP until it is stopped.

    The first SIGTERM or SIGINT (Ctrl-C) stops gracefully: no new jobs, those that run get time to
    end. A second SIGINT forces them to stop, a third leaves at once, like a crash.
    """
    from job_processor.cli.supervise import worker as command  # noqa: PLC0415  # only this command needs it
    from job_processor.cli.supervise.options import WorkerOptions  # noqa: PLC0415  # the same

    options = WorkerOptions(
        tags=tags,
        concurrency=concurrency,
        burst=burst,
        log_level=log_level,
        log_format=log_format,
        metrics_port=metrics_port,
        loop=loop,
    )
    raise typer.Exit(
        command.run(app, options, processes=processes, reload=reload, supervised=supervised)
    )
