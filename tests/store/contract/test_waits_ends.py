"""Each way in which a job ends releases those that come after it, and a plain end costs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.mongo.desks import Days
from job_processor.store.requests import Settlement, skipped
from job_processor.store.waits import End
from tests.desks import dead
from tests.samples import DAY, LATER, NOW, OTHER_WORKER, SECOND, end, retry, run, settled, simple
from tests.store.contract.test_waits import after, there

End_: TypeAlias = Callable[[Store, Job], Awaitable[object]]
"""Ends a running job."""


def settle(status: JobStatus, **fields: Any) -> End_:
    """Return what settles a run so."""

    async def ending(store: Store, job: Job) -> None:
        assert (await store.runs.settle([end(job, status, **fields)])).won == {job.id}

    return ending


async def expire(store: Store, job: Job) -> None:
    """Skip a run that was claimed too late."""
    outcome = skipped("other", LATER, told="expired")
    assert job.worker_id is not None
    await store.runs.settle([Settlement(job, outcome, job.worker_id)])


OF_RUNS: dict[str, tuple[End_, JobStatus]] = {
    "finished": (settle(JobStatus.FINISHED), JobStatus.PENDING),
    "errored": (settle(JobStatus.ERRORED), JobStatus.SKIPPED),
    "killed": (settle(JobStatus.KILLED), JobStatus.SKIPPED),
    "rescued": (settle(JobStatus.ERRORED, writer=OTHER_WORKER, crashes=1), JobStatus.SKIPPED),
    "expired": (expire, JobStatus.SKIPPED),
}


@pytest.mark.parametrize("knows", [True, False], ids=["knows", "does not know"])
@pytest.mark.parametrize("way", OF_RUNS)
async def test_each_end_of_a_run_releases(store: Store, way: str, knows: bool) -> None:
    """Whether its worker knows that it is followed, or that came after its claim."""
    ending, status = OF_RUNS[way]
    (parent,) = await run(store, simple("parent", followed=knows))
    child = after(parent)
    await store.intake.insert([child])
    await store.waits.follow([parent.id])
    await ending(store, parent)
    left = await there(store, child)
    assert left.status is status
    assert left.parked is None


async def test_a_followed_run_is_settled_with_what_its_handler_left(store: Store) -> None:
    """A settlement that missed for that alone is written as it was, and no other is disturbed."""
    (first, second) = await run(store, simple("parent"), simple("parent"))
    await store.waits.follow([first.id])
    both = [end(first), end(second)]
    verdict = await store.runs.settle(both)
    assert verdict.won == {first.id, second.id}
    written = await there(store, first)
    assert (written.status, written.output) == (JobStatus.FINISHED, both[0].outcome.output)
    assert written.updated_at == both[0].written().updated_at


async def test_what_was_taken_away_is_not_settled_for_being_followed(store: Store) -> None:
    """The fence holds: of a run that another worker has, nothing is written."""
    (parent,) = await run(store, simple("parent"))
    await store.waits.follow([parent.id])
    assert parent.worker_id is not None
    await store.runs.move(parent.worker_id, OTHER_WORKER)
    assert (await store.runs.settle([end(parent)])).won == set()
    assert (await there(store, parent)).status is JobStatus.RUNNING


async def test_a_settlement_that_is_repeated_releases(store: Store) -> None:
    """Where the reply was lost, whoever repeats it wins, and releases as if it were the first."""
    (parent,) = await run(store, simple("parent"))
    child = after(parent)
    await store.intake.insert([child])
    await store.waits.follow([parent.id])
    store.runs.waits = dead()  # the process that wrote it first died before it could release
    await store.runs.settle([end(parent)])
    assert (await there(store, child)).parked is not None
    store.runs.waits = store.waits
    assert (await store.runs.settle([end(parent)])).won == {parent.id}
    assert (await there(store, child)).parked is None


async def test_a_retry_is_no_end(store: Store) -> None:
    """What failed and is tried again releases nobody."""
    (parent,) = await run(store, simple("parent", followed=True))
    child = after(parent)
    await store.intake.insert([child])
    await store.runs.settle([retry(parent)])
    assert await there(store, child) == child


async def test_a_kill_while_it_waits_releases(store: Store) -> None:
    """Its children are skipped, and theirs."""
    parent = simple("parent", followed=True)
    child = after(parent, followed=True)
    last = after(child)
    await store.intake.insert([parent, child, last])
    await store.kills.kill_waiting(parent.id, NOW + SECOND)
    assert (await there(store, child)).status is JobStatus.SKIPPED
    assert (await there(store, last)).status is JobStatus.SKIPPED


@pytest.mark.parametrize("rule", [None, "run", "wait"])
async def test_what_is_deleted_is_waited_for_no_more(store: Store, rule: Any) -> None:
    """Its children run or are skipped, also those that would wait for its retry."""
    parent = simple("parent", followed=True)
    child = after(parent, rule=rule)
    await store.intake.insert([parent, child])
    await store.history.delete([parent.id])
    left = await there(store, child)
    assert left.status is (JobStatus.PENDING if rule == "run" else JobStatus.SKIPPED)
    assert left.parked is None
    if rule != "run":
        assert left.output is not None
        assert left.output.error == f"parent {parent.id} is gone"


async def test_what_history_removes_is_waited_for_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed parent that is pruned takes with it those that wait for its retry."""
    if isinstance(days := getattr(store, "_days", None), Days):  # of MongoDB, which keeps more
        monkeypatch.setattr(days, "ours", 1.0)
    old = NOW - timedelta(seconds=2 * DAY)
    parent = settled("parent", at=old, status=JobStatus.ERRORED, followed=True)
    child = after(parent, rule="wait")
    await store.intake.insert([parent, child])
    assert await store.history.prune(NOW - timedelta(seconds=DAY), 10) == 1
    assert (await there(store, child)).status is JobStatus.SKIPPED


class Counted:
    """Counts the releases that are asked for."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        release = store.waits.release

        async def counting(ends: Sequence[End]) -> int:
            self.asked += 1
            return await release(ends)

        monkeypatch.setattr(store.waits, "release", counting)


async def test_the_end_of_a_plain_job_asks_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job that nobody follows no question is asked at its end, however it ends."""
    counted = Counted(store, monkeypatch)
    jobs = [simple("parent") for _ in range(3)]
    runs = await run(store, *jobs)
    await store.runs.settle([end(runs[0]), end(runs[1], JobStatus.ERRORED), retry(runs[2])])
    await store.kills.kill_waiting(runs[2].id, LATER)
    await store.history.delete([runs[0].id])
    assert counted.asked == 0
    (followed,) = await run(store, simple("parent", followed=True))
    await store.runs.settle([end(followed)])
    assert counted.asked == 1


async def test_a_job_that_takes_the_place_of_a_child(store: Store) -> None:
    """With its unique key: it comes after what it says itself, and after nothing else."""
    first, second = simple("parent"), simple("parent")
    holder = after(first, unique_key="k", followed=True)
    await store.intake.insert([holder])
    replaced = await store.intake.replace(holder, after(second, unique_key="k"))
    assert replaced is not None
    assert (replaced.after, replaced.followed) == ((f"j:{second.id}",), True)
    assert await there(store, holder) == replaced
    assert await store.waits.waited_for("", 10) == [f"j:{second.id}"]
    plain = await store.intake.replace(replaced, simple("child", unique_key="k"))
    assert isinstance(plain, SimpleJob)
    assert (plain.parked, plain.after, plain.waiting_for) == (None, (), ())
    assert await store.waits.waited_for("", 10) == []
