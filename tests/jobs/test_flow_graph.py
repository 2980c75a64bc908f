"""A flow as people look at it: levels, boxes, counts; bounded however large it is."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobDef, JobStatus
from job_processor.handlers.flows import FlowInfo
from job_processor.jobs import flow_graph
from tests.processors import Processors


async def run(payload: dict[str, Any] | None) -> None:
    """Run, or fail."""
    if (payload or {}).get("fails"):
        raise ValueError


JOBS = {name: JobDef(run) for name in ("extract", "load", "check", "report")}


def shown(flow: FlowInfo | None) -> list[list[tuple[str, str, bool]]]:
    """Return name and counts of each box, and whether it is a single job."""
    assert flow is not None
    return [
        [(box.name, str(box.counts), box.job_id is not None) for box in level]
        for level in flow.levels
    ]


async def test_the_levels_of_a_flow(processors: Processors) -> None:
    """Each job stands behind all that it comes after; siblings of one name are one box."""
    processor = await processors.make(jobs=JOBS)
    flow = processor.flow("import")
    extract = flow.add("extract")
    parts = flow.add_many("load", [{"n": n, "fails": n == 7} for n in range(10)], after=extract)
    check = flow.add("check", after=extract)
    flow.add("report", after=[*parts, check])
    await flow.start()
    before = await processor.get_flow(flow.id)
    assert before is not None
    assert (before.name, before.status, before.is_cut) == ("import", "running", False)
    assert shown(before) == [
        [("extract", "0/1", True)],
        [("check", "0/1", True), ("load", "0/10", False)],
        [("report", "0/1", True)],
    ]
    await processor.run_worker(burst=True)
    after = await processor.get_flow(str(flow.id))
    assert after is not None
    assert after.status == "errored"
    assert after.counts[JobStatus.SKIPPED] == 1
    assert shown(after) == [
        [("extract", "1/1", True)],
        [("load", "10/10, 1 failed", False), ("check", "1/1", True)],
        [("report", "1/1, 1 failed", True)],
    ]
    assert await processor.get_flow(ObjectId()) is None


@pytest.mark.parametrize("members", [20, 200])
async def test_a_large_flow_is_cut(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    """Its beginning and its end are shown, and what is between is counted all the same."""
    monkeypatch.setattr(flow_graph, "SHOWN", 10)
    processor = await processors.make(jobs=JOBS)
    flow = processor.flow()
    parts = flow.add_many("load", [{"n": n} for n in range(members)], after=flow.add("extract"))
    flow.add("report", after=parts)
    await flow.start()
    found = await processor.get_flow(flow.id)
    assert found is not None
    assert found.is_cut
    assert found.counts.total == members + 2
    assert shown(found) == [
        [("extract", "0/1", False)],
        [("load", f"0/{members}", False)],
        [("report", "0/1", False)],
    ]
