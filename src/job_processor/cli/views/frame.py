"""One frame of `top`: what was read of a database, as JSON and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from job_processor.cli.app.output import amount, plain
from job_processor.cli.app.when import read_time
from job_processor.cli.views import tables
from job_processor.processor import JobProcessor
from job_processor.redaction import Redaction
from job_processor.settings import STATUS_LIMIT
from job_processor.store.rollups import MINUTE, Rollup, start_of, total

WINDOW = 10
"""Minutes that rates and failing names are of."""

_LEVELS = " ▁▂▃▄▅▆▇█"
_BAR_WIDTH = 20
_FAILING_ROWS, _FEW_FAILING_ROWS = 5, 2
_LOW = 30  # lines of a terminal that has room for few of them
_FIXED_ROWS = 14  # header, numbers, titles and heads of both tables, lines in between, the last one
_TABLE_ROWS = 4  # title, head, rule, and the line before


@dataclass(frozen=True, slots=True)
class Frame:
    """How a database stood at one moment."""

    address: str
    status: Mapping[str, Any]
    """As of `get_status()`."""
    rollups: Sequence[Rollup]
    """The minutes of the window in which anything ended."""
    note: str = ""

    def noting(self, note: str) -> Frame:
        """Return the same, with why it is not newer."""
        return replace(self, note=note)

    @property
    def counts(self) -> dict[str, int]:
        """Jobs and cron tasks by status; each name's counts are exact up to their cap."""
        counts: Counter[str] = Counter()
        for group in (*self.status["jobs"], *self.status["crons"]):
            counts.update(group["counts"])
        return {status: counts[status] for status in tables.STYLES}

    @property
    def running(self) -> list[Mapping[str, Any]]:
        """What workers run, the longest first."""
        tasks = [task for group in self.status["workers"] for task in group["tasks"]]
        return sorted(tasks, key=lambda task: str(tables.began(task)))

    @property
    def rates(self) -> dict[str, float]:
        """How many runs ended a minute, by how, over the window."""
        counts = total(self.rollups).counts
        return {how: round(count / WINDOW, 1) for how, count in sorted(counts.items())}

    @property
    def minutes(self) -> list[int]:
        """How many runs ended in each minute of the window; the last one goes on."""
        last = start_of(read_time(self.status["now"]), MINUTE)
        ended = {each.start: sum(each.counts.values()) for each in self.rollups}
        starts = [last - timedelta(minutes=WINDOW - 1 - n) for n in range(WINDOW)]
        return [ended.get(start, 0) for start in starts]

    @property
    def failing(self) -> list[tuple[str, int]]:
        """Names with failed attempts in the window, the worst first."""
        return Counter(total(self.rollups).failures).most_common()

    def as_json(self) -> dict[str, Any]:
        """Return it in plain JSON values."""
        return {
            "now": self.status["now"],
            "database": self.address,
            "workers": [each["worker"] for each in self.status["workers"]],
            "counts": self.counts,
            "due": len(self.status["queue"]),
            "running": self.running,
            "per_minute": self.rates,
            "minutes": self.minutes,
            "failing": [{"name": name, "failures": count} for name, count in self.failing],
        }

    def rendered(self, rows: int | None) -> RenderableType:
        """Return it as tables, in so many lines; None: in as many as it takes."""
        now = read_time(self.status["now"])
        workers, running = self.status["workers"], self.running
        low = rows is not None and rows < _LOW
        failing = self.failing[: _FEW_FAILING_ROWS if low else _FAILING_ROWS]
        fixed = _FIXED_ROWS + (2 if self.note else 0)
        fixed += len(failing) + _TABLE_ROWS if failing else 0
        space = None if rows is None else max(rows - fixed, 2)
        shown = workers if space is None else workers[: max(space // 2, 1)]
        left = None if space is None else max(space - len(shown), 1)
        return tables.stacked(
            self._header(now),
            Text(plain(self.note), style="bold red") if self.note else None,
            self._numbers(),
            tables.workers_table(shown, now) if workers else Text("no workers", style="yellow"),
            _running(running[:left], len(running), now) if running else None,
            _failing(failing, len(self.failing)) if failing else None,
        )

    def _header(self, now: datetime) -> Text:
        due = amount(len(self.status["queue"]), "job", STATUS_LIMIT)
        workers = tables.workers_text(self.status["workers"])
        header = Text.assemble((f"{now:%H:%M:%S} UTC  ", "bold"), f"{workers}, {due} due  ")
        header.append(self.address, style="dim")
        header.no_wrap, header.overflow = True, "ellipsis"
        return header

    def _numbers(self) -> Table:
        made = Table.grid(padding=(0, 2))
        rates = Text(", ").join(
            Text(f"{rate:g} {how}", style=tables.STYLES.get(how, "default"))
            for how, rate in self.rates.items()
        )
        made.add_row(Text("stored", style="dim"), tables.counts_text(self.counts))
        made.add_row(Text("a minute", style="dim"), rates or Text("nothing ended"))
        if rates:
            made.add_row(Text(f"{WINDOW} minutes", style="dim"), _bars(self.minutes))
        return made


def _bars(minutes: Sequence[int]) -> Text:
    """Return a bar for each minute, and what the highest and the last one stand for."""
    most = max(minutes)
    top = len(_LEVELS) - 1
    bars = "".join(_LEVELS[-(-count * top // most)] if most else " " for count in minutes)
    told = f"  at most {most} in one, {minutes[-1]} in the present one"
    return Text.assemble((bars, "cyan"), (told, "dim"))


async def take_frame(processor: JobProcessor) -> Frame:
    """Read a frame."""
    status = await processor.get_status(Redaction())
    since = read_time(status["now"]) - timedelta(minutes=WINDOW)
    rollups = await processor.get_rollups(MINUTE, since)
    return Frame(processor.address, status, rollups)


def _running(jobs: Sequence[Mapping[str, Any]], count: int, now: datetime) -> Table:
    title = "Running" if len(jobs) == count else f"Running, {len(jobs)} of {count}"
    made = tables.table("id", "name", "for", "progress", title=title, numbers=["for"])
    for job in jobs:
        name, since = tables.name_text(job["name"]), tables.running_for(job, now)
        made.add_row(job["_id"], name, since, _progress(job))
    return made


def _progress(job: Mapping[str, Any]) -> RenderableType:
    progress = job.get("progress")
    if progress is None:
        return ""
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=progress["fraction"], width=_BAR_WIDTH)
    message = tables.name_text(progress["message"] or "")
    grid.add_row(bar, f"{progress['fraction']:.0%}", message)
    return grid


def _failing(names: Sequence[tuple[str, int]], count: int) -> Group:
    title = f"Failed attempts, last {WINDOW} minutes"
    if len(names) < count:
        title += f", {len(names)} of {count} names"
    made = tables.table("name", "failures", numbers=["failures"])
    for name, failures in names:
        made.add_row(tables.name_text(name), str(failures))
    return Group(Text(title, style="bold"), made)  # a table breaks a title that is wider
