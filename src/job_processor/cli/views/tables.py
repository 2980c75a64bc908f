"""Jobs, crons and workers as tables: from the plain JSON values of the status to rich."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from job_processor.cli.app.output import amount, plain
from job_processor.cli.app.when import between, read_time, relative
from job_processor.clock import span
from job_processor.crons.manage import CronInfo
from job_processor.errors import shorten
from job_processor.settings import COUNT_CAP
from job_processor.store.summaries import fields_line

STYLES = {
    "pending": "default",
    "running": "bold cyan",
    "paused": "yellow",
    "finished": "green",
    "errored": "bold red",
    "killed": "magenta",
    "skipped": "blue",
}
"""Every status that a job can have, in the order of the columns, with its colour."""
_FLEXIBLE = frozenset({"name", "host", "tags", "payload", "detail", "runs"})
WIDE = 120  # columns of a terminal on which nothing has to go below something else
NARROW_LINES = 2  # lines of a job, its detail included, on a narrower one
_DETAIL = 90  # characters of an error or a result
_ID_WIDTH = 24


def status_text(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=STYLES.get(status, "default"))


def name_text(name: str) -> Text:
    """Return a name, or another text that a user chose, on one line that is cut where it must."""
    return Text(plain(name), no_wrap=True, overflow="ellipsis")


class ByWidth:
    """One of two renderables: `wide`, or `narrow` where there are not so many columns."""

    def __init__(self, wide: RenderableType, narrow: RenderableType) -> None:
        self._wide = wide
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._wide if options.max_width >= WIDE else self._narrow


def table(*columns: str, title: str | None = None, numbers: Iterable[str] = ()) -> Table:
    """Return an empty table; the columns in `numbers` are aligned right.

    Where the terminal is too narrow, what a user named gives way; an id, a status or a time stays.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in numbers else "left",
            no_wrap=column not in _FLEXIBLE,
            overflow="fold" if column in _FLEXIBLE else "ellipsis",
            min_width=_ID_WIDTH if column == "id" else None,
        )
    return made


def fields_table(rows: Mapping[str, str]) -> Table:
    """Return labels with what they are of, one a row."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in rows.items():
        made.add_row(label, Text(value))
    return made


def counts_table(
    groups: Iterable[tuple[str, Mapping[str, int]]],
    *,
    title: str | None = "Jobs",
    parked: Mapping[str, int] | None = None,
) -> Table:
    """Return one row a name, one column a status.

    parked: of the pending ones those that nobody can start now; a column where there are any.
    """
    columns = list(STYLES)
    if parked:
        columns.insert(1, "parked")
    made = table("name", *columns, title=title, numbers=columns)
    for name, counts in groups:
        cells = {**counts, "parked": (parked or {}).get(name, 0)}
        made.add_row(name_text(name), *(count_text(each, cells) for each in columns))
    return made


def count_text(status: str, counts: Mapping[str, int]) -> Text:
    """Return how many are in a status, `10000+` where counting stopped."""
    count = counts.get(status, 0)
    if not count:
        return Text("-", style="dim")
    return Text(f"{count}+" if count >= COUNT_CAP else str(count), style=STYLES.get(status, "dim"))


def jobs_table(
    jobs: Iterable[Mapping[str, Any]], now: datetime, title: str | None = None
) -> ByWidth:
    """Return jobs, one a row, as seen from `now`.

    On a narrow terminal the payload is beside the name, and the detail below both.
    """
    columns = ("status", "when", "took")
    wide = table("id", "name", "payload", *columns, "detail", title=title, numbers=["took"])
    narrow = table("id", "name", *columns, title=title, numbers=["took"])
    for job in jobs:
        name, fields, more = name_text(job["name"]), payload(job), detail(job)
        rest = (status_text(job["status"]), when(job, now), took(job, now))
        wide.add_row(job["_id"], name, fields, *rest, more)
        both = one_line(name, "  ", fields) if fields else name
        narrow.add_row(job["_id"], Group(both, more) if more else both, *rest)
    return ByWidth(wide, narrow)


def crons_table(
    groups: Iterable[Mapping[str, Any]], now: datetime, title: str | None = None
) -> ByWidth:
    """Return crons, one a row: the expression, the next occurrence, the last one, the counts."""
    columns = ("next", "last", "when")
    wide = table("name", "expression", *columns, *STYLES, title=title, numbers=STYLES)
    narrow = table("name", *columns, "runs", title=title)
    for group in groups:
        cron, last = group["cron"], next(iter(group["history"]), None)
        name, expression = name_text(cron["name"]), plain(cron["cron_string"])
        times = (
            _relative(cron["scheduled_for"], now),
            status_text(last["status"]) if last else Text("never", style="dim"),
            when(last, now) if last else "",
        )
        counts = group["counts"]
        wide.add_row(name, expression, *times, *(count_text(each, counts) for each in STYLES))
        below = Text(expression, style="dim", no_wrap=True, overflow="ellipsis")
        narrow.add_row(Group(name, below), *times, counts_text(counts))
    return ByWidth(wide, narrow)


def cron_table(cron: CronInfo, now: datetime) -> Table:
    """Return one cron in detail, with its next times."""
    rows = {
        "name": plain(cron.name),
        "expression": f"{plain(cron.cron_string)}  in {plain(cron.timezone)}",
        "service": "of the Node package" if cron.service is None else plain(cron.service),
        "paused": "yes" if cron.paused else "no",
    }
    if cron.unlisted_since is not None:
        since = relative(cron.unlisted_since, now)
        rows["listed"] = f"by no worker since {since}; it plans nothing"
    made = fields_table(rows)
    for label, moment in zip(["next", "", "", "", ""], cron.upcoming, strict=False):
        made.add_row(label, f"{moment:%Y-%m-%d %H:%M:%S} UTC, {relative(moment, now)}")
    return made


def workers_table(groups: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """Return workers, one a row: where they are, how busy, and when they were last seen."""
    columns = ("id", "host", "pid", "tags", "running", "memory", "seen", "up")
    made = table(*columns, title="Workers", numbers=["pid", "memory"])
    for group in groups:
        worker = group["worker"]
        slots = worker["concurrency"]
        made.add_row(
            worker["_id"],
            name_text(worker["hostname"]),
            str(worker["pid"] or ""),
            name_text(", ".join(worker["tags"])) if worker["tags"] is not None else "all",
            f"{len(group['tasks'])} of {slots}" if slots else str(len(group["tasks"])),
            _memory(worker["memory"]),
            Text(_relative(worker["lastSeen"], now), style="" if worker["alive"] else "bold red"),
            between(worker["started_at"], now.isoformat()),
        )
    return made


def workers_text(groups: Iterable[Mapping[str, Any]]) -> str:
    """Return how many workers there are: `2 workers`, and `1 dead` where some are."""
    alive = [group["worker"]["alive"] for group in groups]
    dead = alive.count(False)
    return amount(alive.count(True), "worker") + (f", {dead} dead" if dead else "")


def counts_text(counts: Mapping[str, int]) -> Text:
    """Return how many are in each status that occurs: `1 pending, 3 finished`."""
    parts = [
        Text.assemble(count_text(status, counts), f" {status}")
        for status in STYLES
        if counts.get(status)
    ]
    return Text(", ").join(parts)


def when(job: Mapping[str, Any], now: datetime) -> str:
    """Return the time that matters in a job's status: ended, started, or due."""
    moment = job["ended_at"] or (job["status"] == "running" and job["started_at"])
    return _relative(moment or job["scheduled_for"], now)


def took(job: Mapping[str, Any], now: datetime) -> str:
    """Return how long the last attempt of a job ran or, while it runs, has been running."""
    if job["status"] == "running":
        return running_for(job, now)
    if job["ended_at"] is None or job["output"] is None:
        return ""
    return milliseconds(job["output"].get("duration_ms"))


def running_for(job: Mapping[str, Any], now: datetime) -> str:
    """Return for how long the present attempt of a job has been running."""
    return between(began(job), now.isoformat())


def began(job: Mapping[str, Any]) -> str | None:
    """Return when the present attempt of a running job began: nothing writes that until its end."""
    moment: str | None = job.get("updated_at") or job["started_at"]
    return moment


def milliseconds(count: int | None) -> str:
    """Return a number of milliseconds for people; nothing where there is none."""
    return "" if count is None else span(count / 1000)


def payload(job: Mapping[str, Any]) -> Text:
    """Return the first fields of a payload as a list shows them: `to="ada@example.org", n=3`.

    On one line, which is cut where the terminal ends.
    """
    line = plain(fields_line(job.get("payload")))
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def one_line(*parts: str | Text) -> Text:
    """Return the parts on one line, which is cut where it must."""
    line = Text.assemble(*parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def detail(job: Mapping[str, Any]) -> Text:
    """Return the error, the reason or the result of a job, shortened."""
    output = job["output"]
    if "waits_for" in job:
        return Text(shorten(f"waits for {plain(job['waits_for'])}", _DETAIL), style="dim")
    if output is None:
        return Text("")
    skip = output.get("skip_metadata")
    if skip is not None and output["error"] is None:  # else it says why by itself
        conflict = skip["conflicting_job_id"]
        return Text(f"{conflict} is active" if conflict else "missed", style="dim")
    if output["error"] is not None:
        first = output["error"].strip().partition("\n")[0]
        style = "red" if job["status"] == "errored" else "dim"
        crash = job.get("crash")
        if crash is not None and crash["worker"] and crash["at"] == job["ended_at"]:
            first = f"{first} ({crash['worker']})"
        return Text(shorten(plain(first), _DETAIL), style=style)
    if output["result"] is None:
        return Text("")
    result = json.dumps(output["result"], ensure_ascii=False)
    return Text(shorten(plain(result), _DETAIL), style="dim", no_wrap=True, overflow="ellipsis")


def stacked(*parts: RenderableType | None) -> Group:
    """Return the parts one below the other, with a line in between."""
    lines: list[RenderableType] = []
    for part in parts:
        if part is not None:
            lines += ["", part] if lines else [part]
    return Group(*lines)


def _memory(size: int | None) -> str:
    return "" if size is None else f"{size / 1_000_000:.0f} MB"


def _relative(moment: str, now: datetime) -> str:
    return relative(read_time(moment), now)
