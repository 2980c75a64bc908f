"""Flows from synchronous code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from job_processor import FlowNotFoundError, InvalidArgumentError, JobDef, JobStateError
from job_processor.sync import JobClient
from tests.definitions import nothing

JOBS = {"a": JobDef(nothing), "b": JobDef(nothing)}


@pytest.fixture
def client(db_url: str) -> Iterator[JobClient]:
    """A client of a fresh database."""
    with JobClient(db_url, jobs=JOBS, poll_interval=0.2) as made:
        yield made


def test_a_flow_is_written_down_and_started(client: JobClient) -> None:
    """What a flow has, without `await`; killed and retried by its id."""
    flow = client.flow("import")
    first = flow.add("a")
    parts = flow.add_many("b", [None, None], after=first)
    last = flow.add("b", after=parts, priority=3)
    assert client.get_flow(flow.id) is None
    jobs = flow.start()
    assert jobs == list(flow.jobs)
    assert [job.id for job in jobs] == [first.id, *(job.id for job in parts), last.id]
    info = client.get_flow(str(flow.id))
    assert info is not None
    assert (info.name, info.status, len(info.levels)) == (flow.name, "running", 3)
    assert client.kill_flow(flow.id).done == 4
    assert client.retry_flow(flow.id).done == 4
    (found,) = client.find_flows()
    assert (found.id, found.counts.total) == (flow.id, 4)
    assert repr(flow) == f"<flow 'import' ({flow.id}) of 4 jobs>"
    with pytest.raises(JobStateError, match="has started"):
        flow.start()


def test_a_chain(client: JobClient) -> None:
    """One after the other, by one rule."""
    chain = client.chain("a", ("b", None), name="nightly", on_parent_failure="run")
    first, second = chain.start()
    assert (second.parents, second.on_parent_failure) == ((first.id,), "run")
    assert [flow.name for flow in client.find_flows()] == ["nightly"]


def test_what_cannot_be_in_a_flow(client: JobClient) -> None:
    """Each is refused where it is written."""
    flow = client.flow()
    wrong: Any = 7
    with pytest.raises(InvalidArgumentError, match=r"^flow.add: 7"):
        flow.add(wrong)
    with pytest.raises(InvalidArgumentError, match="name"):
        client.flow("")
    with pytest.raises(InvalidArgumentError, match="allowed is one job or more"):
        client.chain()
    with pytest.raises(FlowNotFoundError):
        client.kill_flow(ObjectId())
