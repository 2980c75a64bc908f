"""Jobs of a flow: found by it, whatever becomes of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from job_processor.store.waits import Node
from tests.samples import NOW, SOON, claim, end, simple

FLOW = ObjectId()
STATUSES = (JobStatus.PENDING, JobStatus.FINISHED, JobStatus.ERRORED)


def of_flow(name: str = "load", **fields: Any) -> SimpleJob:
    """Return a job of the flow."""
    return simple(name, **{"id": ObjectId(), "flow": FLOW, "flow_name": "import", **fields})


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_jobs_are_found_by_their_flow(store: Store, oldest_first: bool) -> None:
    """Each combination with name, names, state and bounds, in the order of ids, and counted."""
    jobs = [
        of_flow(name, status=status, ended_at=None if status is JobStatus.PENDING else NOW)
        for name, status, _ in product("ab", STATUSES, range(2))
    ]
    others = [simple("a"), of_flow("a", flow=ObjectId())]
    await store.intake.insert([*jobs[::2], *others, *jobs[1::2]])
    selections: list[dict[str, Any]] = [{}, {"name": "a"}, {"names": ("b",)}, {"names": ("x",)}]
    betweens: list[dict[str, Any]] = [{}, {"after": jobs[9].id, "above": jobs[1].id}]
    for selection, between, status in product(selections, betweens, (None, *STATUSES)):
        query = JobQuery(
            flow=FLOW, status=status, oldest_first=oldest_first, **selection, **between
        )
        expected = [
            job
            for job in jobs
            if query.name in (None, job.name)
            and (query.names is None or job.name in query.names)
            and status in (None, job.status)
            and (query.after is None or job.id < query.after)
            and (query.above is None or job.id > query.above)
        ]
        ordered = expected if oldest_first else expected[::-1]
        assert await store.history.find(query) == ordered
        assert await store.history.find(replace(query, limit=2)) == ordered[:2]
        assert await store.history.count_matching(query, 100) == len(expected)
        assert [each.id for each in await store.history.summaries(query)] == [
            job.id for job in ordered
        ]


async def test_a_flow_a_group_and_a_lane_together(store: Store) -> None:
    """What is asked for holds all at once."""
    group = ObjectId()
    both = of_flow(group=group, lane="load:a")
    await store.intake.insert(
        [both, of_flow(), of_flow(group=group), of_flow(lane="load:a"), simple(group=group)]
    )
    query = JobQuery(flow=FLOW, group=group, lane="load:a")
    assert await store.history.find(query) == [both]
    assert len(await store.history.find(JobQuery(flow=FLOW, group=group))) == 2
    assert len(await store.history.find(JobQuery(flow=FLOW, lane="load:a"))) == 2
    assert len(await store.history.find(JobQuery(group=group))) == 3


async def test_a_job_stays_in_its_flow(store: Store) -> None:
    """When it is claimed, retried after a failure, ended, and retried."""
    (job,) = jobs = [of_flow("resize")]
    await store.intake.insert(jobs)
    (running,) = await store.queue.claim(claim(1))
    assert (running.flow, running.flow_name) == (FLOW, "import")
    await store.runs.settle([end(running)])
    ended = await store.history.get(job.id)
    assert ended is not None
    assert (ended.status, ended.flow, ended.flow_name) == (JobStatus.FINISHED, FLOW, "import")
    await store.history.requeue(job.id, SOON)
    assert [each.status for each in await store.history.find(JobQuery(flow=FLOW))] == [
        JobStatus.PENDING
    ]


async def test_a_job_that_takes_the_place_of_another_one_is_of_its_flow(store: Store) -> None:
    """What comes after the one that held the key comes after the one that replaced it."""
    holder = of_flow("resize", unique_key="k")
    await store.intake.insert([holder])
    replaced = await store.intake.replace(holder, simple("resize", unique_key="k", at=SOON))
    assert replaced is not None
    assert (replaced.flow, replaced.flow_name) == (FLOW, "import")
    assert await store.history.find(JobQuery(flow=FLOW)) == [replaced]


async def test_flows_are_listed(store: Store) -> None:
    """Each once, the newest first, page by page, as long as there is a job of it."""
    flows = [ObjectId() for _ in range(5)]
    jobs = [of_flow(flow=flow) for flow in flows for _ in range(3)]
    await store.intake.insert([simple("a"), *jobs[::-1], simple(group=ObjectId())])
    newest = flows[::-1]
    assert await store.waits.flows(None, 10) == newest
    assert await store.waits.flows(None, 2) == newest[:2]
    assert await store.waits.flows(newest[1], 2) == newest[2:4]
    assert await store.waits.flows(newest[-1], 2) == []
    assert await store.waits.flows(None, 0) == []
    await store.history.delete([job.id for job in jobs if job.flow == newest[0]])
    assert await store.waits.flows(None, 2) == newest[1:3]


async def test_the_graph_of_a_flow(store: Store) -> None:
    """Its jobs with what they come after, from either end, and counts of all of them."""
    first = of_flow("a", followed=True)
    tag = f"j:{first.id}"
    group = ObjectId()
    second = of_flow("b", after=(tag,), waiting_for=(tag,), parked="parent", group=group)
    third = of_flow("b", status=JobStatus.ERRORED, ended_at=NOW, flow_name=None)
    await store.intake.insert([first, second, third, simple("a")])
    nodes = [
        Node(first.id, "a", JobStatus.PENDING, (), None, "import"),
        Node(second.id, "b", JobStatus.PENDING, (tag,), group, "import"),
        Node(third.id, "b", JobStatus.ERRORED, (), None, None),
    ]
    assert await store.waits.graph(FLOW, 10) == nodes
    assert await store.waits.graph(FLOW, 2) == nodes[:2]
    assert await store.waits.graph(FLOW, 2, newest=True) == nodes[1:]
    assert await store.waits.graph(FLOW, 0) == []
    assert await store.waits.graph(ObjectId(), 10) == []
    counts = await store.waits.counts_of_flow(FLOW)
    assert counts == {
        "a": {JobStatus.PENDING: 1},
        "b": {JobStatus.PENDING: 1, JobStatus.ERRORED: 1},
    }
