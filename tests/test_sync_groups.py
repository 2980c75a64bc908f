"""Groups from synchronous code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from job_processor import GroupClosedError, GroupStatus, JobDef, JobTimeoutError
from job_processor.sync import JobClient
from tests.definitions import nothing

JOBS = {"a": JobDef(nothing), "then": JobDef(nothing)}


@pytest.fixture
def client(db_url: str) -> Iterator[JobClient]:
    """A client of a fresh database."""
    with JobClient(db_url, jobs=JOBS, poll_interval=0.2) as made:
        yield made


def test_a_group_is_filled_and_followed(client: JobClient) -> None:
    """What a group has, without `await`."""
    with client.group(then="then") as group:
        job = group.add("a")
        group.add_many([("a", None), "a"])
        assert group.info().status is GroupStatus.OPEN
    assert job.group == group.id
    assert group.counts().total == 3
    assert [each.name for each in group.jobs()] == ["a"] * 3
    with pytest.raises(JobTimeoutError):
        group.wait(timeout=0)
    with pytest.raises(GroupClosedError):
        group.add("a")
    assert group.kill() == 3
    assert group.wait(timeout=60).status is GroupStatus.ERRORED
    assert group.retry() == 3
    assert list(group.results()) == []
    known = client.get_group(group.id)
    assert known is not None
    assert known.info().round == 2
    assert client.get_group("0" * 24) is None


def test_a_block_that_raises_breaks_its_group_off(client: JobClient) -> None:
    """And what it raises is raised."""
    with pytest.raises(RuntimeError, match="lost"), client.group() as group:
        raise RuntimeError("lost")
    assert client.schedule_group("a", [{}, {}], then="then").counts().total == 2
    assert group.info().broken == "the block that filled it raised RuntimeError"
