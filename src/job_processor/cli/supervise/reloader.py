"""`worker --reload`: one worker process that starts again when its code changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

from watchfiles import PythonFilter, awatch

from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.output import plain
from job_processor.cli.supervise.child import Child, how
from job_processor.cli.supervise.signals import obeyed


class Reloader:
    """Watches the Python files below a folder; a change stops the worker and starts another.

    A worker that ends by itself, as one whose code has an error does, waits for the next change.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, logger: logging.Logger) -> None:
        self._arguments = arguments
        self._folder = folder
        self._logger = logger
        self._child: Child | None = None
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._told = asyncio.Event()
        """Set once the worker that runs was told to stop, for the one reason or the other."""
        self._interrupts = 0
        self._stop_watching = asyncio.Event()

    async def run(self) -> int:
        """Return the exit code once it was told to stop."""
        with obeyed(self._on_signal):
            return await self._keep()

    async def _keep(self) -> int:
        watching = asyncio.create_task(self._watch(), name="watch of files")
        try:
            code = DONE
            while not self._stopping.is_set():
                self._changed.clear()
                self._told.clear()
                code = await self._run_one()
                if not self._stopping.is_set():
                    await _any(self._changed, self._stopping, watching)
                if watching.done():
                    watching.result()  # it ends by an error alone
        finally:
            self._stop_watching.set()
            await asyncio.gather(watching, return_exceptions=True)
        return DONE if code in (DONE, -SIGTERM) else FAILED

    async def _run_one(self) -> int:
        self._child = child = await Child.start(self._arguments)
        if self._changed.is_set() or self._stopping.is_set():  # it came while this was started
            self._told.set()
            child.send(SIGTERM)
        await child.until_ready()
        code = await child.until_ended(self._told)
        self._child = None
        if not self._changed.is_set() and not self._stopping.is_set():
            text = "the worker %s; it is started again at the next change of a Python file"
            self._logger.warning(text, how(code))
        return code

    async def _watch(self) -> None:
        filter = PythonFilter()
        watch = awatch(
            self._folder, watch_filter=filter, stop_event=self._stop_watching, debounce=300
        )
        self._logger.info("starting again when a Python file below %s changes", self._folder)
        async for changes in watch:
            names = sorted({Path(path).relative_to(self._folder).as_posix() for _, path in changes})
            self._logger.warning("%s changed: starting again", plain(", ".join(names)))
            self._changed.set()
            self._told.set()
            if self._child is not None:
                self._child.send(SIGTERM)

    def _on_signal(self, number: Signals) -> None:
        """Pass a signal on: the first stops, a second SIGINT forces, a third leaves at once."""
        if self._stopping.is_set() and number is SIGINT:
            self._interrupts += 1
        self._stopping.set()
        self._told.set()
        if self._child is not None:
            self._child.send(SIGKILL if self._interrupts > 1 else number)


async def _any(
    changed: asyncio.Event, stopping: asyncio.Event, watching: asyncio.Task[None]
) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (changed, stopping)]
    await asyncio.wait([*waits, watching], return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
