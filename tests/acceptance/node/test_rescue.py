"""Heartbeats, and the rescue of what a dead worker of either kind has left."""

from __future__ import annotations

from datetime import timedelta

import pytest

from job_processor import JobDef, JobStatus, models
from tests.acceptance.node.both import Both
from tests.acceptance.node.test_kill import hold
from tests.definitions import nothing
from tests.processors import WAIT
from tests.worker.deaths import die_holding

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

SILENT = timedelta(seconds=200)
"""Longer than any worker of ours may be silent, and less than the Node package's 300 s."""

LONG_AGO = timedelta(minutes=20)
"""Longer than any window of either."""


async def test_a_dead_node_worker_is_rescued_after_its_own_window(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent for longer than our timeout it is left alone, for longer than its own its run crashed.

    Its window of 300 s is made longer here, then shorter; we watch it by our own clock, whatever it
    wrote.
    """
    monkeypatch.setattr(models, "NODE_WORKER_TIMEOUT", 3600.0)
    process = both.process()
    await both.node(process=process, jobs={"held": {"does": "hold"}})
    definitions = {"held": JobDef(hold, tag="x"), "other": JobDef(nothing)}
    processor = await both.python(jobs=definitions, worker_tags=["y"])
    job = await processor.schedule_job("held", {})
    await both.until_began("held")
    process.kill()
    workers = both.collection("workers")
    (registered,) = await both.until("workers", tags=["node"])
    selection = {"_id": registered["_id"]}
    await workers.update_one(selection, {"$set": {"lastSeen": registered["lastSeen"] - SILENT}})
    # A worker of ours looks every quarter of its timeout, 1 s here.
    for _ in range(4):
        other = await processor.schedule_job("other", {}, timedelta(seconds=0.5))
        await processor.wait_for_job(other.id, timeout=WAIT)
    assert (await both.job(job.id))["status"] == "running"
    monkeypatch.setattr(models, "NODE_WORKER_TIMEOUT", 2.0)
    settled = await processor.wait_for_job(job.id, timeout=WAIT)
    assert settled.status is JobStatus.ERRORED
    assert settled.output is not None
    assert settled.output.error == "Worker crashed unexpectedly"
    assert await workers.find_one(selection) is None


async def test_a_dead_worker_of_ours_is_rescued_by_node(both: Both) -> None:
    """Node ends what no registered worker holds; what a registered one of ours runs it leaves."""
    processor = await both.python(jobs={"alive": JobDef(hold)})
    alive = await processor.schedule_job("alive")
    await both.until("jobs", _id=alive.id, status="running")
    producer = await both.python(work=False, jobs={"held": JobDef(hold)})
    dead = await producer.schedule_job("held", {})
    (run,) = await die_holding(producer, ["held"])
    jobs, workers = both.collection("jobs"), both.collection("workers")
    await workers.delete_one({"_id": run.worker_id})  # as the TTL does
    began = {"started_at": run.created_at - LONG_AGO, "updated_at": run.created_at - LONG_AGO}
    await jobs.update_many({"type": "simple", "status": "running"}, {"$set": began})
    await both.node(jobs={"held": {"does": "nothing"}, "alive": {"does": "nothing"}})
    ended = await both.ended(dead.id)
    assert ended["status"] == "errored"
    assert "crashed" in ended["output"]["error"]
    assert (await both.job(alive.id))["status"] == "running"
