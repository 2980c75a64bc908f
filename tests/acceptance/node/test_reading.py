"""Each reads a database full of the other's documents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from job_processor import CronDef, JobDef, JobProcessor
from tests.acceptance.node.both import Both
from tests.acceptance.node.test_kill import hold
from tests.acceptance.node.test_together import fail
from tests.definitions import nothing
from tests.processors import WAIT

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]


async def fill(processor: JobProcessor) -> None:
    """Leave a job of ours in every state, and a cron."""
    for name in ("done", "failed"):
        job = await processor.schedule_job(name, {"a": 1})
        await processor.wait_for_job(job.id, timeout=WAIT)
    killed = await processor.schedule_job("done", {}, timedelta(hours=1))
    await processor.kill_job(killed.id)
    await processor.schedule_job("done", {}, timedelta(hours=1))
    await processor.schedule_job("one")
    await processor.schedule_job("one")  # skipped


async def ours(both: Both) -> JobProcessor:
    """Return a processor whose worker runs one job, with a database full of its documents."""
    jobs = {
        "done": JobDef(nothing),
        "failed": JobDef(fail),
        "one": JobDef(hold, exclusive=True),
    }
    crons = {"nightly": CronDef("0 3 * * *", nothing, timezone="Europe/Paris")}
    processor = await both.python(jobs=jobs, crons=crons)
    await fill(processor)
    await both.until("jobs", name="one", status="running")
    await both.until("jobs", name="nightly", type="cron_task")
    return processor


NIGHTLY = {"nightly": {"cron_string": "0 3 * * *", "does": "nothing"}}


async def test_node_reads_our_documents(both: Both) -> None:
    """getProcessorStatus() and getProcessorHealthcheck() parse all of them, and leave none out."""
    await ours(both)
    node = await both.node(work=False, crons=NIGHTLY)
    status = await node.do("status")
    jobs = {
        group["name"]: sorted(task["status"] for task in group["tasks"]) for group in status["jobs"]
    }
    assert jobs == {
        "done": ["finished", "killed", "pending"],
        "failed": ["errored"],
        "one": ["running", "skipped"],
    }
    (cron,) = status["crons"]
    assert cron["cron"]["name"] == "nightly"
    assert [task["name"] for task in cron["scheduled"]] == ["nightly"]
    (worker,) = status["workers"]  # its `task` is null in Node 2.3.0, that of a Node worker too
    health = await node.do("health")
    assert [each["worker"]["_id"] for each in health["workers"]] == [worker["worker"]["_id"]]


async def test_our_status_has_the_shape_of_nodes(both: Both) -> None:
    """Whatever Node's status has, ours has too, of the same JSON type; Node's schema takes it."""
    processor = await ours(both)
    node = await both.node(work=False, crons=NIGHTLY)
    theirs = await node.do("status_json")
    mine = await processor.get_status()
    assert missing(theirs, mine) == []
    assert await node.do("parses", status=mine) is True


def missing(theirs: Any, mine: Any, path: str = "") -> list[str]:
    """Return the places where `mine` lacks what `theirs` has, or has another type of JSON."""
    if theirs is None:
        return []
    if type(theirs) is not type(mine):
        return [f"{path}: {theirs!r} and {mine!r}"]
    if isinstance(theirs, dict):
        pairs = [(key, each, mine.get(key)) for key, each in theirs.items()]
    elif isinstance(theirs, list):
        named = {_name(each): each for each in mine}
        pairs = [(_name(each), each, named.get(_name(each))) for each in theirs]
    else:
        return []
    return [place for key, each, other in pairs for place in missing(each, other, f"{path}.{key}")]


def _name(value: Any) -> Any:
    """Return what tells an entry of a list from the others."""
    if not isinstance(value, dict):
        return value
    return value.get("_id") or value.get("name") or _name(value.get("cron") or value.get("worker"))
