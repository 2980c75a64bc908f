"""What is to be said of limits and of the lanes in which jobs wait: why one stands there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from job_processor.jobs.limits import LimitInfo, limits
from job_processor.parts import Parts
from job_processor.settings import LANE_COUNT_CAP
from job_processor.store.base import Remark
from job_processor.store.lanes import LaneInfo


async def remarks_on_lanes(parts: Parts) -> list[Remark]:
    """Return what was set by hand, which lanes are stopped, and which of each limit is fullest."""
    return [remark for limit in await limits(parts) for remark in _of(limit)]


def _of(limit: LimitInfo) -> Iterator[Remark]:
    subject = f"limit {limit.name!r}"
    if limit.is_changed and limit.defined is not None:
        text = f"it was set to {limit.amount} by hand, and the code says {limit.defined.amount}"
        advice = f"to end that: job-processor limits reset {shlex.quote(limit.name)}"
        yield Remark(subject, "warning", text, advice)
    for lane in limit.lanes:
        if lane.stopped_by is not None:
            text = (
                f"the lane {lane.lane!r} is stopped by job {lane.stopped_by}, which failed: "
                f"{_count(lane.waiting)} wait behind it"
            )
            advice = f"retry or delete that job: job-processor jobs retry {lane.stopped_by}"
            yield Remark(subject, "warning", text, advice)
    full = next((lane for lane in limit.lanes if lane.parked and lane.stopped_by is None), None)
    if full is not None:
        yield Remark(subject, "ok", _told(limit, full))


def _told(limit: LimitInfo, lane: LaneInfo) -> str:
    of = "" if limit.amount is None else f" of {limit.amount}"
    return (
        f"the fullest lane, {lane.lane!r}, has {lane.running}{of} running and "
        f"{_count(lane.parked)} that wait for a slot; see "
        f"job-processor limits show {shlex.quote(lane.lane)}"
    )


def _count(count: int) -> str:
    return f"{count:,} or more" if count >= LANE_COUNT_CAP else f"{count:,}"
