"""The view of one worker on a terminal: its slots, what runs, what ended last."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import amount, plain
from job_processor.cli.views import tables
from job_processor.clock import span
from job_processor.errors import StoreError
from job_processor.events import Event, EventKind
from job_processor.processor import JobProcessor
from job_processor.settings import STATUS_LIMIT
from job_processor.store.summaries import JobSummary, shown_of
from job_processor.tasks import cancel

_INTERVAL = 0.5  # seconds between two looks at the database
_ENDED_ROWS = 8
_RUNNING_ROWS = 12
_FRAME_ROWS = 13  # header, meter, titles and heads of both tables, and the lines in between
_RATE_WINDOW = 10.0  # seconds
_BAR_WIDTH = 24
_ENDS = {
    EventKind.FINISHED: "finished",
    EventKind.ERRORED: "errored",
    EventKind.KILLED: "killed",
    EventKind.SKIPPED: "skipped",
    EventKind.PAUSED: "paused",
    EventKind.RETRIED: "retried",
}


class WorkerView:
    """What a worker has done since it began, from its events, and what it does, as stored."""

    def __init__(self, processor: JobProcessor) -> None:
        self._processor = processor
        self._began = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._ends: deque[float] = deque(maxlen=10_000)
        self._ended: deque[JobSummary] = deque(maxlen=_ENDED_ROWS)
        self._worker_id = ""
        self._health: Mapping[str, Any] = {"workers": [], "queue": []}
        self._note = ""
        self._out = Console()

    @asynccontextmanager
    async def shown(self, out: Console) -> AsyncIterator[Live]:
        """Keep the view on the terminal for the time of the block."""
        self._out = out
        forget = self._processor.listen(self._on_event)
        with Live(console=out, auto_refresh=False, transient=True) as live:
            task = asyncio.create_task(self._refresh(live), name="live view")
            try:
                yield live
            finally:
                forget()
                await cancel([task], _INTERVAL)
        out.print(Text(self.summary()))

    def summary(self) -> str:
        """Return what the worker did, in one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self._counts.items())
        up = span(time.monotonic() - self._began)
        return f"The worker stopped after {up}: {counts or 'nothing ran'}."

    def _on_event(self, event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            self._worker_id = str(event.worker_id)
        if event.job is None or event.kind not in _ENDS:
            return
        self._counts[_ENDS[event.kind]] += 1
        self._ended.append(shown_of(event.job))
        self._ends.append(time.monotonic())

    async def _refresh(self, live: Live) -> None:
        while True:
            try:
                self._health = await self._processor.get_healthcheck()
                self._note = ""
            except StoreError as error:
                self._note = str(error)
            live.update(self._render(), refresh=True)
            await asyncio.sleep(_INTERVAL)

    def _render(self) -> RenderableType:
        now = datetime.now(UTC)
        running = self._running()
        space = max(self._out.height - _FRAME_ROWS, 2)  # lines for the rows of both tables
        shown = running[: min(_RUNNING_ROWS, max(space - _ENDED_ROWS, space // 2))]
        lines = space - len(shown)
        rows = lines if self._out.width >= tables.WIDE else lines // tables.NARROW_LINES
        ended = [job_json(job) for job in list(self._ended)[-rows:][::-1]] if rows else []
        return tables.stacked(
            self._header(),
            self._meter(len(running)),
            Text(plain(self._note), style="bold red") if self._note else None,
            _running_table(shown, len(running), now) if running else None,
            tables.jobs_table(ended, now, "Last ended here") if ended else None,
        )

    def _running(self) -> list[Mapping[str, Any]]:
        for group in self._health["workers"]:
            if group["worker"]["_id"] == self._worker_id:
                return list(group["tasks"])
        return []

    def _header(self) -> Text:
        up = span(time.monotonic() - self._began)
        header = Text.assemble(
            ("worker ", "bold"),
            (self._worker_id, "bold cyan"),
            f"  up {up}  on {socket.gethostname()}, process {os.getpid()}",
            ("  Ctrl-C stops\n", "dim"),
            (self._processor.address, "dim"),
        )
        header.no_wrap, header.overflow = True, "ellipsis"
        return header

    def _meter(self, running: int) -> RenderableType:
        slots = self._processor.settings.concurrency
        horizon = time.monotonic() - _RATE_WINDOW
        rate = sum(end > horizon for end in self._ends) / _RATE_WINDOW
        due, workers = len(self._health["queue"]), len(self._health["workers"])
        counts: list[Any] = []
        for status, count in self._counts.items():
            counts += [(f"{count} {status}", tables.STYLES.get(status, "default")), "  "]
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            ProgressBar(total=slots, completed=running, width=_BAR_WIDTH),
            Text(f"{running} of {slots} slots"),
            Text(f"{amount(due, 'job', STATUS_LIMIT)} due"),
            Text(amount(workers, "worker")),
            Text(f"{rate:.1f} jobs/s"),
        )
        return Group(grid, Text.assemble(*counts)) if counts else grid


def _running_table(jobs: list[Mapping[str, Any]], count: int, now: datetime) -> Table:
    title = "Running" if len(jobs) == count else f"Running, {len(jobs)} of {count}"
    made = tables.table("id", "name", "for", title=title, numbers=["for"])
    for job in jobs:
        made.add_row(job["_id"], tables.name_text(job["name"]), tables.running_for(job, now))
    return made
