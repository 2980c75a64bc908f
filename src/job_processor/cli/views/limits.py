"""Limits and their lanes, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import plain
from job_processor.cli.app.when import relative
from job_processor.cli.views import tables
from job_processor.cli.views.tables import name_text, table
from job_processor.handlers.limits import Limit
from job_processor.jobs.limits import LaneJobs, LimitInfo
from job_processor.settings import LANE_COUNT_CAP
from job_processor.store.lanes import LaneInfo

_COUNTS = ("running", "in line", "parked")


def limits_table(limits: Iterable[LimitInfo], now: datetime) -> Table:
    """Return limits, one a row, each followed by its fullest lanes: what runs and what waits."""
    made = table("name", "limit", *_COUNTS, "detail", numbers=_COUNTS)
    for each in limits:
        keyless = [lane for lane in each.lanes if lane.key is None]
        counts = _counts(keyless[0]) if keyless else ("", "", "")
        next_one = [_next(lane, now) for lane in keyless]
        told = ", ".join(part for part in (_told(each), *next_one) if part)
        made.add_row(name_text(each.name), _limit(each), *counts, told)
        for lane in each.lanes:
            if lane.key is not None:
                key = Text.assemble("  ", name_text(lane.key))
                made.add_row(key, "", *_counts(lane), _next(lane, now))
        if each.more:
            made.add_row(Text("  …", style="dim"), "", "", "", "", "")
    return made


def limits_json(limits: Iterable[LimitInfo]) -> list[dict[str, Any]]:
    """Return limits in plain JSON values."""
    return [each.as_json() for each in limits]


def lane_view(lane: LaneJobs, now: datetime) -> Group:
    """Return a lane with the jobs that hold it and those that are next."""
    info = lane.info
    rows = {
        "lane": plain(info.lane),
        "limit": "not known here" if lane.amount is None else str(lane.amount),
        **dict(zip(_COUNTS, _counts(info), strict=True)),
    }
    if info.stopped_by is not None:
        rows["stopped by"] = f"{info.stopped_by}, which failed: retry or delete it"
    jobs = (("Have a slot", lane.holding), ("Next", lane.next))
    return tables.stacked(
        tables.fields_table(rows),
        *(tables.jobs_table(map(job_json, some), now, title) for title, some in jobs if some),
    )


def meant_by(limit: Limit) -> str:
    """Return what a limit is, but for its amount: `for each tenant, in order`."""
    parts = [f"for each {plain(limit.key_name)}"] if limit.key_name is not None else []
    if limit.per == "worker":
        parts.append("in each worker")
    if limit.ordered:
        parts.append("in order")
    return ", ".join(parts)


def _limit(limit: LimitInfo) -> Text:
    amount = "?" if limit.amount is None else str(limit.amount)
    meant = "" if limit.defined is None else meant_by(limit.defined)
    return Text.assemble((amount, "bold" if limit.is_changed else ""), f" {meant}" if meant else "")


def _told(limit: LimitInfo) -> str:
    told = ", ".join(map(plain, limit.names)) if limit.names != (limit.name,) else ""
    if limit.defined is not None and limit.is_changed:
        told = f"{told} (the code says {limit.defined.amount})".strip()
    return told


def _counts(lane: LaneInfo) -> tuple[str, str, str]:
    return _count(lane.running), _count(lane.in_line), _count(lane.parked)


def _count(count: int) -> str:
    return f"{count}+" if count >= LANE_COUNT_CAP else str(count)


def _next(lane: LaneInfo, now: datetime) -> str:
    if lane.stopped_by is not None:
        return f"stopped by {lane.stopped_by}, which failed: retry or delete it"
    if lane.next is None:
        return ""
    return f"next {plain(lane.next.name)}, due {relative(lane.next.due, now)}"
