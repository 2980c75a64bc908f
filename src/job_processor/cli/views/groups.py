"""Groups for people: a list of them, and one with the counts of its members."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import plain
from job_processor.cli.app.when import relative
from job_processor.cli.views import tables
from job_processor.handlers.groups import GroupCounts, GroupInfo
from job_processor.models import JobStatus
from job_processor.store.summaries import JobSummary


def groups_table(groups: Iterable[GroupInfo], now: datetime) -> Table:
    """Return groups, one a row, the newest first."""
    made = tables.table("id", "status", "ended", "failed", "created", "detail")
    for group in groups:
        failed = Text(str(group.counts.failed), style="red" if group.counts.failed else "dim")
        made.add_row(
            str(group.id),
            status_text(group),
            f"{group.counts.ended}/{group.counts.total}",
            failed,
            relative(group.created_at, now),
            _told(group),
        )
    return made


def group_view(group: GroupInfo, failures: Iterable[JobSummary], now: datetime) -> Stack:
    """Return one group: how it stands, its members by name, and some that failed."""
    shown = [job_json(job) for job in failures]
    failed = tables.jobs_table(shown, now, "Failed") if shown else None
    return tables.stacked(_fields(group, now), members_table(group.counts), failed)


def members_table(counts: GroupCounts) -> Table:
    """Return the members by name, all of one name in one row however many they are."""
    statuses = [status for status in JobStatus if counts[status]]
    numbers = [status.value for status in statuses]
    made = tables.table("name", "ended", *numbers, title="Members", numbers=numbers)
    for name, of_name in sorted(counts.by_name.items()):
        one = GroupCounts({name: of_name})
        row = [str(of_name[status]) if of_name.get(status) else "" for status in statuses]
        made.add_row(plain(name), f"{one.ended}/{one.total}", *row)
    return made


def status_text(group: GroupInfo) -> Text:
    """Return the status of a group in its colour."""
    colours = {"open": "pending", "running": "running"}
    styled = tables.status_text(colours.get(group.status.value, group.status.value))
    return Text(group.status.value, style=styled.style)


def _fields(group: GroupInfo, now: datetime) -> Table:
    made = tables.fields_table({"group": str(group.id)})
    made.add_row("status", status_text(group))
    if group.broken is not None:
        made.add_row("aborted", plain(group.broken))
    if group.round > 1:
        made.add_row("round", str(group.round))
    made.add_row("created", relative(group.created_at, now))
    if group.completed_at is not None:
        made.add_row("ended", relative(group.completed_at, now))
    for name, called in (("then", group.then), ("catch", group.catch)):
        if called is not None:
            made.add_row(name, plain(called))
    if group.callback_id is not None:
        made.add_row("followed by", str(group.callback_id))
    return made


def _told(group: GroupInfo) -> str:
    """Return what a row says besides: what follows, or why it cannot end well."""
    if group.broken is not None:
        return f"aborted: {plain(group.broken)}"
    told = [f"{name} {plain(called)}" for name, called in _callbacks(group) if called is not None]
    return ", ".join(told)


def _callbacks(group: GroupInfo) -> tuple[tuple[str, str | None], ...]:
    return ("then", group.then), ("catch", group.catch)
