"""`shell`: Python with the processor of an application, at a prompt or from a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.options import App, Db, Prefix

if TYPE_CHECKING:
    import asyncio

    from job_processor.cli.app import loading
    from job_processor.processor import JobProcessor


def shell(
    app: App = None,
    command: Annotated[
        str | None,
        typer.Option("--command", "-c", metavar="CODE", help="Run this code and exit."),
    ] = None,
    db: Db = None,
    prefix: Prefix = None,
) -> None:
    """Start Python with `processor` set up; `await` works.

    The names of the module of APP are available, too. It uses IPython if that is installed. It
    starts no worker. Code from a pipe runs as a program. With --db it needs no application.
    """
    import asyncio

    place = Place(db, prefix, app, by="APP")
    named = place.application()
    with asyncio.Runner() as runner:
        processor = runner.run(place.processor(named))
        try:
            runner.run(processor.setup())
            raise typer.Exit(_play(runner, named, processor, command))
        finally:
            runner.run(processor.close())


def _play(
    runner: asyncio.Runner, app: loading.App | None, processor: JobProcessor, command: str | None
) -> int:
    """Run the code that was given, or prompt for some; return the exit code."""
    from job_processor.cli.repl import console
    from job_processor.cli.repl.evaluation import Evaluation, run_script
    from job_processor.cli.repl.names import banner, names_of

    names = names_of(app, processor)
    evaluation = Evaluation(runner, names)
    if command is not None:
        return DONE if run_script(evaluation, command, "<command>") else FAILED
    if sys.stdin is None or not sys.stdin.isatty():
        source = sys.stdin.read() if sys.stdin is not None else ""
        return DONE if run_script(evaluation, source, "<stdin>") else FAILED
    told = banner(app, processor)
    if not console.interact_by_ipython(runner, names, told):
        console.interact(evaluation, told)
    return DONE
