"""`top`: how a database and its workers do, drawn again and again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, has_live_view, print_json
from job_processor.cli.app.reading import read_seconds
from job_processor.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from job_processor.processor import JobProcessor


def top(
    interval: Annotated[
        str, typer.Option(metavar="SECONDS", help="Seconds between two queries.")
    ] = "1",
    once: Annotated[bool, typer.Option("--once", help="Print once and exit.")] = False,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Watch workers, queue, running jobs and rates.

    Runs until Ctrl-C. With --once, or if the output is not a terminal, it prints once and exits.
    """
    from job_processor.cli.views.frame import take_frame

    seconds = read_seconds("--interval", interval)
    out = console()
    if not (once or json) and has_live_view(out):
        ask(Place(db, prefix, app), lambda processor: _show(processor, out, seconds))
        return
    frame = ask(Place(db, prefix, app), take_frame)
    if json:
        print_json(frame.as_json())
    else:
        out.print(frame.rendered(rows=None))


async def _show(processor: JobProcessor, out: Console, interval: float) -> None:
    import asyncio
    from signal import SIGINT, SIGTERM

    from rich.live import Live

    from job_processor.cli.views.frame import take_frame

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (SIGINT, SIGTERM):
        loop.add_signal_handler(number, stop.set)
    frame = await take_frame(processor)
    with Live(console=out, auto_refresh=False, screen=True) as live:
        while not stop.is_set():
            live.update(frame.rendered(rows=out.height), refresh=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval)
            try:
                frame = await take_frame(processor)
            except StoreError as error:  # the last frame stays, and says why
                frame = frame.noting(str(error))
