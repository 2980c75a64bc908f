"""`top`: how a database and its workers do, drawn again and again."""

from __future__ import annotations

import asyncio
import contextlib
from signal import SIGINT, SIGTERM

from rich.console import Console
from rich.live import Live

from job_processor.cli.app.asking import ask
from job_processor.cli.app.output import console, has_live_view, print_json
from job_processor.cli.app.reading import read_seconds
from job_processor.cli.views.frame import take_frame
from job_processor.errors import StoreError
from job_processor.processor import JobProcessor


def run(db: str | None, prefix: str, interval: str, *, once: bool, as_json: bool) -> None:
    """Show frames until Ctrl-C; a single one where nothing can be redrawn."""
    seconds = read_seconds("--interval", interval)
    out = console()
    if once or as_json or not has_live_view(out):
        frame = ask(db, prefix, take_frame)
        if as_json:
            print_json(frame.as_json())
        else:
            out.print(frame.rendered(rows=None))
        return
    ask(db, prefix, lambda processor: _show(processor, out, seconds))


async def _show(processor: JobProcessor, out: Console, interval: float) -> None:
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
