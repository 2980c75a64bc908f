"""The demo as a person sees it: a live view on a terminal, lines elsewhere, a summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import has_live_view, plain
from job_processor.cli.demo.checks import Check
from job_processor.cli.demo.figures import Figures
from job_processor.cli.demo.fleet import Fleet
from job_processor.cli.demo.watcher import Snapshot
from job_processor.cli.views import tables

_PROGRESS_SECONDS = 2.0  # between two lines of progress where there is no live view
_STORY_ROWS = 6
_ENDED_ROWS = 5
_FRAME_ROWS = 8  # the header, the head of the table and the lines in between
_BAR_WIDTH = 24


class DemoView:
    """Shows snapshots and the story, for the time of a `with` block."""

    def __init__(self, out: Console, address: str, fleet: Fleet) -> None:
        self._out = out
        self._address = address
        self._fleet = fleet
        self._began = time.monotonic()
        self._told: list[Text] = []
        self._next_line = _PROGRESS_SECONDS
        self._live = (
            Live(console=out, auto_refresh=False, transient=True) if has_live_view(out) else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            self._out.print(Text(f"job-processor demo on {self._address}"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._out.print(*self._told, sep="\n")

    def tell(self, text: str) -> None:
        """Add a sentence to the story."""
        line = Text.assemble((f"{self._seconds():5.1f} s  ", "dim"), text)
        self._told.append(line)
        if self._live is None:
            self._out.print(line)

    def show(self, seen: Snapshot) -> None:
        """Show the present state."""
        if self._live is not None:
            self._live.update(self._render(seen), refresh=True)
        elif self._seconds() >= self._next_line and seen.jobs:
            self._next_line += _PROGRESS_SECONDS
            counts = Counter(job.status.value for job in seen.jobs)
            states = ", ".join(
                f"{counts[status]} {status}" for status in tables.STYLES if counts[status]
            )
            self._out.print(Text(f"{self._seconds():5.1f} s  {states}", style="dim"))

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _render(self, seen: Snapshot) -> RenderableType:
        counts = seen.counts()
        free = self._out.height - len(counts) - len(self._fleet.workers) - _FRAME_ROWS
        story_rows = min(max(free - _ENDED_ROWS, 3), _STORY_ROWS)
        ended_rows = min(max(free - story_rows, 0), _ENDED_ROWS)
        ended = [job_json(job) for job in seen.last_ended(ended_rows)]
        return tables.stacked(
            self._header(seen),
            tables.counts_table(counts.items(), title=None),
            self._workers(seen),
            Text("\n").join(self._told[-story_rows:]) if self._told else None,
            _ended_table(ended) if ended else None,
        )

    def _header(self, seen: Snapshot) -> RenderableType:
        jobs = seen.simple()
        ended = sum(job.settled for job in jobs)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text("job-processor demo", style="bold"),
            ProgressBar(total=max(len(jobs), 1), completed=ended, width=_BAR_WIDTH),
            Text(f"{ended} of {len(jobs)} jobs ended"),
            Text(f"{self._seconds():.0f} s", style="dim"),
        )
        return grid

    def _workers(self, seen: Snapshot) -> RenderableType:
        running = {group["worker"]["pid"]: group["tasks"] for group in seen.workers}
        grid = Table.grid(padding=(0, 2))
        for worker in self._fleet.workers:
            tasks = running.get(worker.pid, [])
            what = Text(worker.fate, style="red") if worker.fate else _names(tasks)
            grid.add_row(
                Text(worker.name, style="bold"), Text(f"process {worker.pid}", style="dim"), what
            )
        return grid


def show_summary(out: Console, seen: Snapshot, checks: Sequence[Check], figures: Figures) -> None:
    """Print what the database holds at the end, what that means, and whether it was to be."""
    good, bad = ("ok", "NO") if out.options.ascii_only else ("✓", "✗")
    made = tables.table("", "job", "expected", "happened")
    for column in made.columns[2:]:
        column.no_wrap = False
        column.overflow = "fold"
    for check in checks:
        mark = Text(good, style="green") if check.met else Text(bad, style="bold red")
        style = "default" if check.met else "bold red"
        made.add_row(mark, check.name, check.expected, Text(plain(check.happened), style=style))
    failed = sum(not check.met for check in checks)
    verdict = Text("All went as expected.", style="bold green")
    if failed or not checks:
        told = f"{failed} of {len(checks)}" if checks else "The demo was cut off: it"
        verdict = Text(f"{told} did not go as expected.", style="bold red")
    parts = (
        Text("What the database says", style="bold"),
        tables.counts_table(seen.counts().items(), title=None),
        made,
        tables.fields_table(figures.lines()),
        verdict,
    )
    for part in parts:
        out.print()
        out.print(part)


def show_next(out: Console, steps: Mapping[str, str], note: str) -> None:
    """Print commands to try next, each with what it is for, and a note below."""
    out.print(Text("\nNext", style="bold"))
    for command, purpose in steps.items():
        out.print(Text(f"  # {purpose}", style="dim"))
        # Whole, however narrow the terminal is: it is to be copied.
        out.print(Text(f"  {command}"), soft_wrap=True)
    if note:
        out.print(Text(note, style="dim"))


def _ended_table(jobs: Sequence[dict[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column()  # only the detail gives way, on its one line
    for job in jobs:
        more = tables.detail(job)
        more.no_wrap, more.overflow = True, "ellipsis"
        took = tables.took(job, datetime.now(UTC))
        grid.add_row(tables.status_text(job["status"]), plain(job["name"]), took, more)
    return grid


def _names(tasks: Sequence[dict[str, Any]]) -> Text:
    counts = Counter(plain(task["name"]) for task in tasks)
    names = ", ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())
    return Text(names or "idle", style="cyan" if names else "dim")
