"""Kill, exclusive names and tags across both."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from job_processor import AbortSignal, JobDef, JobStatus
from tests.acceptance.node.both import Both
from tests.definitions import nothing
from tests.processors import WAIT

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]


async def hold(signal: AbortSignal) -> None:
    """Run until asked to stop."""
    await signal.wait()
    signal.raise_if_aborted()


async def test_we_kill_what_node_runs(both: Both) -> None:
    """Node's handler is told by its signal; the run ends as Node ends such runs."""
    await both.node(jobs={"held": {"does": "hold"}})
    processor = await both.python(work=False, jobs={"held": JobDef(None)})
    job = await processor.schedule_job("held", {})
    await both.until_began("held")
    await processor.kill_job(job.id)
    document = await both.ended(job.id)
    assert document["status"] in {"killed", "errored"}
    assert "killed" in document["output"]["error"].lower()


async def test_node_kills_what_we_run(both: Both) -> None:
    """Our handler is told by its signal, and the run ends killed."""
    node = await both.node(work=False)
    processor = await both.python(jobs={"held": JobDef(hold)})
    job = await processor.schedule_job("held")
    await both.until("jobs", _id=job.id, status="running")
    await node.do("kill", id=job.id)
    settled = await processor.wait_for_job(job.id, timeout=WAIT)
    assert settled.status is JobStatus.KILLED
    await both.until("signals", job_id=job.id, ack=True)  # written after the end of the run


async def test_each_kills_what_waits_for_the_other(both: Both) -> None:
    """At once; our sweep gives the end to what Node's kill leaves without one."""
    node = await both.node(work=False, jobs={"later": {"does": "nothing"}})
    producer = await both.python(work=False, jobs={"later": JobDef(None)})
    ours = await producer.schedule_job("later", {}, timedelta(hours=1))
    await node.do("kill", id=ours.id)
    killed = await both.job(ours.id)
    assert killed["status"] == "killed"
    assert killed.get("ended_at") is None
    await both.python(jobs={"other": JobDef(nothing)})  # sweeps when it starts
    ended = {"$gte": killed["created_at"]}
    (document,) = await both.until("jobs", _id=ours.id, ended_at=ended)
    assert document["status"] == "killed"

    await node.do("schedule", name="later", payload={}, at=killed["scheduled_for"])
    (theirs,) = await both.until("jobs", name="later", status="pending")
    await producer.kill_job(theirs["_id"])
    assert (await node.do("get", id=theirs["_id"]))["status"] == "killed"


@pytest.mark.parametrize("holder", ["node", "python"])
async def test_an_exclusive_name_is_exclusive_across_both(both: Both, holder: str) -> None:
    """While one is active, whoever made it, another one of either is stored as skipped by it."""
    exclusive = {"does": "hold", "concurrency": {"mode": "exclusive"}}
    tag = "node" if holder == "node" else "elsewhere"
    node = await both.node(jobs={"one": {**exclusive, "tag": tag}})
    processor = await both.python(
        jobs={"one": JobDef(hold, exclusive=True, tag="python")},
        worker_tags=["python"] if holder == "python" else ["nothing"],
    )
    if holder == "node":
        await node.do("add", name="one", payload={})
    else:
        await processor.schedule_job("one", {})
    (active,) = await both.until("jobs", name="one", status="running")
    skipped = await processor.schedule_job("one", {})
    assert skipped.output is not None
    assert skipped.output.skip_metadata is not None
    assert skipped.output.skip_metadata.conflicting_job_id == active["_id"]
    await node.do("add", name="one", payload={})
    for each in await both.until("jobs", 2, name="one", status="skipped"):
        # Which one it names is Node's own choice: it may be a skipped one.
        assert each["output"]["skip_metadata"]["reason"] == "noConcurrent_conflict"
    assert [each["_id"] for each in await both.until("jobs", name="one", status="running")] == [
        active["_id"]
    ]


async def test_tags_divide_the_work_of_both(both: Both) -> None:
    """A name that both define goes to the kind of worker that serves its tag."""
    both_define = ["for_node", "for_python"]
    await both.node(
        tags=["node"],
        jobs={name: {"does": "nothing", "tag": name.removeprefix("for_")} for name in both_define},
    )
    processor = await both.python(
        jobs={name: JobDef(nothing, tag=name.removeprefix("for_")) for name in both_define},
        worker_tags=["python"],
    )
    jobs = await processor.schedule_jobs((name, {}) for name in both_define * 3)
    await asyncio.gather(*(processor.wait_for_job(job.id, timeout=WAIT) for job in jobs))
    ran_in_node = {line["job"] for line in both.lines("start")}
    assert ran_in_node == {str(job.id) for job in jobs if job.name == "for_node"}


async def test_a_name_that_only_we_know_is_left_alone_by_a_tagged_node_worker(both: Both) -> None:
    """And the reverse: neither fails what only the other defines."""
    node = await both.node(jobs={"theirs": {"does": "nothing"}})
    processor = await both.python(work=False, jobs={"ours": JobDef(nothing)})
    ours = await processor.schedule_job("ours", {})
    await node.do("add", name="theirs", payload={})
    await both.ended((await both.only("theirs"))["_id"])
    assert (await both.job(ours.id))["status"] == "pending"
    await both.python(jobs={"ours": JobDef(nothing)})
    assert (await processor.wait_for_job(ours.id, timeout=WAIT)).status is JobStatus.FINISHED
