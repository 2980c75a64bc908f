"""Flows for people: a list of them, and one in levels, those of one name in one row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from job_processor.cli.app.output import plain
from job_processor.cli.app.when import relative
from job_processor.cli.views import tables
from job_processor.handlers.flows import FlowBox, FlowInfo, FlowSummary
from job_processor.models import JobStatus


def flows_table(flows: Iterable[FlowSummary], now: datetime) -> Table:
    """Return flows, one a row, the newest first."""
    made = tables.table("id", "name", "status", "ended", "running", "failed", "created")
    for flow in flows:
        failed, running = flow.counts.failed, flow.counts[JobStatus.RUNNING]
        made.add_row(
            str(flow.id),
            plain(flow.name),
            tables.status_text(flow.status),
            f"{flow.counts.ended}/{flow.counts.total}",
            Text(str(running), style="" if running else "dim"),
            Text(str(failed), style="red" if failed else "dim"),
            relative(flow.created_at, now),
        )
    return made


def flow_view(flow: FlowInfo, now: datetime) -> Stack:
    """Return one flow: how it stands, and what it is made of."""
    return tables.stacked(_fields(flow, now), _levels(flow))


def _fields(flow: FlowInfo, now: datetime) -> Table:
    made = tables.fields_table({"flow": str(flow.id)})
    made.add_row("name", plain(flow.name))
    made.add_row("status", tables.status_text(flow.status))
    made.add_row("ended", str(flow.counts))
    made.add_row("created", relative(flow.created_at, now))
    if flow.is_cut:
        made.add_row("levels", "of its first and its last jobs: it has more than are shown")
    return made


def _levels(flow: FlowInfo) -> Table:
    statuses = [status for status in JobStatus if flow.counts[status]]
    numbers = [status.value for status in statuses]
    made = tables.table("level", "name", "ended", *numbers, "job", numbers=numbers)
    for number, level in enumerate(flow.levels, 1):
        for box in level:
            counts = [str(box.counts[status] or "") for status in statuses]
            made.add_row(str(number), plain(box.name), _ended(box), *counts, _one(box))
    return made


def _ended(box: FlowBox) -> Text:
    ended = f"{box.counts.ended}/{box.counts.total}"
    return Text(ended, style="red" if box.counts.failed else "")


def _one(box: FlowBox) -> str:
    """Return the id of a box's only job, or of the group that its jobs are."""
    if box.job_id is not None:
        return str(box.job_id)
    return f"group {box.group}" if box.group is not None else ""
