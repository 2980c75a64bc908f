"""Python schedules and Node runs, and the reverse; neither breaks what the other has set up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from job_processor import JobDef, JobStatus, SimpleJob
from tests.acceptance.node.both import Both
from tests.node.databases import fixture
from tests.processors import WAIT

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

ECHO = {"echo": {"does": "echo"}, "fail": {"does": "fail"}}

BOTH_KNOW: dict[str, Any] = {
    "null": None,
    "true": True,
    "int": -7,
    "long": 2**40,
    "double": 0.5,
    "text": "é 𝄞 \n",
    "bytes": b"\x00\xff",
    "date": datetime(2026, 2, 28, 23, 59, 59, 999000, tzinfo=UTC),
    "id": ObjectId(),
    "list": [1, [None, "a"], {}],
    "object": {"a": {"b": [True]}, "$dollar": 1, "dot.ted": 2},
}
"""A value of every type that a payload may have and that both drivers read alike."""


async def echo(job: SimpleJob) -> Any:
    """Return the payload."""
    return job.payload


async def fail() -> None:
    """Fail."""
    raise ValueError("it was me, in Python")


async def test_python_schedules_and_node_runs(both: Both) -> None:
    """Every type comes back as it was sent, with what Node leaves of a run."""
    await both.node(jobs=ECHO)
    processor = await both.python(work=False, jobs={"echo": JobDef(None), "fail": JobDef(None)})
    job = await processor.schedule_job("echo", BOTH_KNOW)
    settled = await processor.wait_for_job(job.id, timeout=WAIT)
    assert settled.status is JobStatus.FINISHED
    assert settled.output is not None
    assert settled.output.result == BOTH_KNOW
    # Node has one kind of number: beyond 32 bits a whole one comes back as a double.
    assert type(settled.output.result["int"]) is int
    assert type(settled.output.result["long"]) is float
    assert settled.started_at is not None
    assert settled.ended_at is not None


async def test_node_schedules_and_python_runs(both: Both) -> None:
    """The same the other way round, and Node reads the document that we leave."""
    node = await both.node(work=False, jobs={"echo": {"does": "echo"}})
    await both.python(jobs={"echo": JobDef(echo)})
    await node.do("add", name="echo", payload=BOTH_KNOW)
    document = await both.ended((await both.only("echo"))["_id"])
    read = await node.do("get", id=document["_id"])
    assert read == document
    assert read["status"] == "finished"
    assert read["output"]["result"] == BOTH_KNOW


async def test_what_only_node_may_send_reaches_our_handler(both: Both) -> None:
    """A value of a type that no payload of ours may have comes as the driver reads it."""

    async def price(job: SimpleJob) -> str:
        return str((job.payload or {})["price"])

    node = await both.node(work=False, jobs={"price": {"does": "nothing"}})
    await both.python(jobs={"price": JobDef(price)})
    await node.do("add", name="price", payload={"price": Decimal128("1.50")})
    document = await both.ended((await both.only("price"))["_id"])
    assert document["output"]["result"] == "1.50"


async def test_errors_are_told_both_ways(both: Both) -> None:
    """An error of one language is text in the other."""
    node = await both.node(jobs={"fail": {"does": "fail"}, "ours": {"does": "nothing", "tag": "x"}})
    processor = await both.python(jobs={"ours": JobDef(fail), "fail": JobDef(None)})
    theirs = await processor.schedule_job("fail", {})
    settled = await processor.wait_for_job(theirs.id, timeout=WAIT)
    assert settled.status is JobStatus.ERRORED
    assert settled.output is not None
    assert "it was me, in Node" in str(settled.output.error)
    await node.do("add", name="ours", payload={})
    read = await node.do("get", id=(await both.ended((await both.only("ours"))["_id"]))["_id"])
    assert read["status"] == "errored"
    assert "it was me, in Python" in read["output"]["error"]


async def test_a_time_in_the_future_is_kept_both_ways(both: Both) -> None:
    """Neither runs the other's job before its time."""
    node = await both.node(jobs={"echo": {"does": "echo"}})
    processor = await both.python(work=False, jobs={"echo": JobDef(None)})
    at = datetime.now(UTC) + timedelta(seconds=2)
    job = await processor.schedule_job("echo", {}, at)
    settled = await processor.wait_for_job(job.id, timeout=WAIT)
    assert settled.started_at is not None
    assert settled.started_at >= job.scheduled_for
    made = await node.do("schedule", name="echo", payload={}, at=at)
    found = await processor.get_job(made["_id"])
    assert found is not None
    assert abs(found.scheduled_for - at) < timedelta(milliseconds=1)


@pytest.mark.parametrize("first", ["node", "python"])
async def test_either_may_set_up_first(both: Both, first: str) -> None:
    """Whoever comes second starts as well, Node's validator and indexes are there, ours beside."""
    node = await both.node(jobs=ECHO) if first == "node" else None
    processor = await both.python(jobs={"ours": JobDef(echo)})
    node = node or await both.node(jobs=ECHO)
    assert await both.validator() == fixture("node_validator.json")["validator"]
    indexes = await both.collection("jobs").index_information()
    assert {"claim", "newest_by_name", "simple_exclusive_unique", "ended_at_1"} <= set(indexes)
    assert {each["name"] for each in fixture("node_indexes.json")["jobs"]} <= set(indexes)
    await node.do("add", name="echo", payload={"a": 1})
    assert (await both.ended((await both.only("echo"))["_id"]))["status"] == "finished"
    job = await processor.schedule_job("ours", {"a": 1})
    assert (await processor.wait_for_job(job.id, timeout=WAIT)).status is JobStatus.FINISHED
