"""`worker`: a worker in this process, or a supervisor of several or of one that is reloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.extras import require
from job_processor.cli.app.options import App
from job_processor.cli.app.reading import read_number
from job_processor.cli.app.source import Source, require_app
from job_processor.errors import InvalidArgumentError

if TYPE_CHECKING:
    from job_processor.cli.supervise.options import WorkerOptions


def worker(
    app: App = None,
    tags: Annotated[
        str | None,
        typer.Option(
            metavar="TAG,TAG…",
            help="Run only jobs and crons with one of these tags (queues), or without a tag. "
            "[default: the application's]",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Jobs to run at the same time. [default: the application's]"
        ),
    ] = None,
    processes: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Number of worker processes, each with its own concurrency.",
        ),
    ] = "1",
    burst: Annotated[bool, typer.Option("--burst", help="Exit when nothing is due.")] = False,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            help="For development: restart when a Python file below the working directory changes.",
        ),
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Show log lines of this level and above: debug, info, warning or error. "
            "[default: info; warning on a terminal, which has a live view]",
            autocompletion=lambda: ["debug", "info", "warning", "error"],
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Write log lines as console or json, each with its job, and replace the "
            "application's own format. [default: console, or the application's]",
            autocompletion=lambda: ["console", "json"],
        ),
    ] = None,
    metrics_port: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS:]N",
            help="Serve Prometheus metrics on this port of 127.0.0.1, or of this address; each "
            "further process uses the next port.",
        ),
    ] = None,
    loop: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The event loop: asyncio, uvloop, or auto: uvloop if it is installed.",
            autocompletion=lambda: ["auto", "asyncio", "uvloop"],
        ),
    ] = "auto",
    supervised: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs and crons of APP until it is stopped.

    The first SIGTERM or SIGINT (Ctrl-C) shuts down gracefully: no new jobs start, and running jobs
    get time to finish. A second SIGINT stops them by force, a third exits at once, like a crash.
    """
    from job_processor.cli.supervise.options import WorkerOptions
    from job_processor.settings import check_int

    options = WorkerOptions(
        tags=tags,
        concurrency=concurrency,
        burst=burst,
        log_level=log_level,
        log_format=log_format,
        metrics_port=metrics_port,
        loop=loop,
    )
    count = read_number("--processes", processes)
    check_int("--processes", count, minimum=1)
    source = require_app(app)
    if count > 1 or reload:
        raise typer.Exit(_supervise(source, options, processes=count, reload=reload))
    raise typer.Exit(_run_one(source, options, supervised))


def _run_one(source: Source, options: WorkerOptions, supervised: int | None) -> int:
    """Run a worker in this process, which a supervisor may keep; return the exit code."""
    from job_processor.cli.supervise import worker
    from job_processor.cli.supervise.tie import Tie

    return worker.run(source, options, None if supervised is None else Tie(supervised))


def _supervise(source: Source, options: WorkerOptions, *, processes: int, reload: bool) -> int:
    """Keep workers running until they are told to stop; return the exit code."""
    import asyncio
    import logging
    from pathlib import Path

    from job_processor.cli.supervise import event_loop, logs

    event_loop.read_loop(options.loop)  # refused once, not by each process
    source.enter()
    if reload:
        _check_reload(processes)
    if options.metrics_port is not None:
        require("prometheus", "--metrics-port")
    places = options.places(processes)
    for place in places:
        if place is not None:
            _check_free(*place)
    logs.configure(options.level, None, options.format, one_of_many=True)
    logger = logging.getLogger("job_processor")
    arguments = [[source.spec, *options.arguments(place)] for place in places]
    if reload:
        from job_processor.cli.supervise.reloader import Reloader

        return asyncio.run(Reloader(arguments[0], Path.cwd(), logger).run())
    from job_processor.cli.supervise.supervisor import Supervisor

    return asyncio.run(Supervisor(arguments, logger).run())


def _check_reload(processes: int) -> None:
    if processes > 1:
        allowed = "allowed with --reload is one process"
        raise InvalidArgumentError("--processes", processes, allowed)
    require("reload", "--reload")


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken, or an address that is not ours, before anything is started."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            allowed = f"it cannot be listened on: {error.strerror}"
            raise InvalidArgumentError("--metrics-port", f"{host}:{port}", allowed) from error
