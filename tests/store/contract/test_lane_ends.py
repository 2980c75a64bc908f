"""Whatever becomes of a job that waits in a lane: its slot goes to the next, and it is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from job_processor.models import FOR_A_SLOT, Job, JobStatus, OnFailure, Output, SimpleJob
from job_processor.store import Store
from job_processor.store.requests import Outcome, Settlement
from tests import samples
from tests.samples import LATER, NOW, SECOND, SOON, WORKER
from tests.store.contract.test_lanes import claim, end, ids, in_lane, taken, there, with_limits

Verb: TypeAlias = Callable[[Store, SimpleJob], Awaitable[object]]


async def kill(store: Store, job: SimpleJob) -> object:
    """Kill what waits."""
    return await store.kills.kill_waiting(job.id, SOON)


async def delete(store: Store, job: SimpleJob) -> object:
    """Delete what waits."""
    return await store.history.delete([job.id])


async def replace_by_one_elsewhere(store: Store, job: SimpleJob) -> object:
    """Let a job of another lane take its place."""
    found = await there(store, job)
    assert isinstance(found, SimpleJob)
    return await store.intake.replace(found, replace(in_lane("z"), unique_key="key"))


async def expire(store: Store, job: SimpleJob) -> object:
    """Sweep after it has expired; one that has its slot already is claimed and skipped."""
    if await store.lanes.expire(LATER, 10):
        (found,) = await store.queue.claim(samples.claim(10, "sync", now=LATER))
    else:
        (found,) = await claim(store, limit=1)
    assert found.id == job.id
    return await end(store, found, JobStatus.SKIPPED)


async def laid_out(store: Store, state: str) -> tuple[Job, SimpleJob, SimpleJob]:
    """Return who runs in a lane of one, who is in this state behind it, and who is the next."""
    fields: dict[str, Any] = {"unique_key": "key", "expires_at": SOON + SECOND}
    first, one, other = in_lane(), in_lane(n=1, **fields), in_lane(n=2)
    await store.intake.insert([first])
    (run,) = await claim(store)
    await store.intake.insert([one, other])
    if state != "in line":
        assert await claim(store) == []
    if state == "admitted":
        await end(store, run)
        assert (await there(store, one)).slot == "sync:a#0"
    assert (await there(store, one)).parked == (FOR_A_SLOT if state == "parked" else None)
    return run, one, other


@pytest.mark.parametrize("state", ["in line", "parked", "admitted"])
@pytest.mark.parametrize("verb", [kill, delete, replace_by_one_elsewhere, expire])
async def test_the_next_of_its_lane_goes_on(store: Store, verb: Verb, state: str) -> None:
    """Killed, deleted, replaced or expired, in line, parked or admitted: the lane goes on."""
    with_limits(store, sync=1)
    run, one, other = await laid_out(store, state)
    assert await verb(store, one)
    if state != "admitted":
        assert other.id not in ids(await claim(store))  # who runs has the slot still
        await end(store, run)
    found = await claim(store)
    assert [job.id for job in found if job.lane == "sync:a"] == [other.id]
    assert (await claim(store)) == []


async def test_what_expires_while_it_is_parked_leaves_its_lane(store: Store) -> None:
    """It is due as any other job then, at its own time, for a claim that ends it."""
    with_limits(store, sync=1)
    _, one, other = await laid_out(store, "parked")
    assert await store.lanes.expire(SOON, 10) == 0
    assert await store.lanes.expire(SOON + SECOND, 10) == 1
    found = await there(store, one)
    assert (found.lane, found.parked, found.scheduled_for) == (None, None, one.scheduled_for)
    assert (await there(store, other)).parked == FOR_A_SLOT
    assert await store.lanes.expire(SOON + SECOND, 10) == 0


async def test_what_is_parked_for_another_reason_expires_too(store: Store) -> None:
    """A job that waits in no lane, but for something else, is let go when it has expired."""
    job = samples.simple("sync", parked="token", expires_at=SOON)
    await store.intake.insert([job])
    assert await store.lanes.expire(SOON, 10) == 1
    assert ids(await store.queue.claim(samples.claim(10, "sync", now=SOON))) == [job.id]


async def test_so_many_expire_at_a_time_the_first_ones_first(store: Store) -> None:
    """A pass is bounded, and those that expired first come first."""
    jobs = [in_lane(n=n, expires_at=NOW + (9 - n) * SECOND) for n in range(4)]
    await store.intake.insert(jobs)
    assert await store.lanes.expire(LATER, 3) == 3
    left = [job.id for job in jobs if (await there(store, job)).lane]
    assert left == [jobs[0].id]


async def test_what_has_begun_does_not_expire(store: Store) -> None:
    """A job that waits to be tried again, or goes on where it was, waits however late it is."""
    with_limits(store, sync=1)
    jobs = [in_lane(key, expires_at=SOON + SECOND) for key in "ab"]
    await store.intake.insert(jobs)
    one, other = await claim(store)
    await end(store, one, JobStatus.PENDING, scheduled_for=SOON, attempt=2)
    await end(store, other, JobStatus.PAUSED)
    assert await store.lanes.expire(LATER, 10) == 0
    assert set(ids((await taken(store)).jobs)) == {one.id, other.id}


@pytest.mark.parametrize("lanes", [1, 10])
@pytest.mark.parametrize("output", [None, Output("1ms", None, "no")], ids=["bare", "told"])
@pytest.mark.parametrize("status", [JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.KILLED])
@pytest.mark.parametrize("ordered", [None, "continue", "stop"])
async def test_a_slot_is_had_by_whoever_holds_it(
    store: Store, ordered: OnFailure | None, status: JobStatus, output: Output | None, lanes: int
) -> None:
    """A run that has ended has none, unless it stops its lane, told one by one or many at once."""
    with_limits(store)
    jobs = [in_lane(f"{n}", ordered=ordered) for n in range(lanes)]
    await store.intake.insert(jobs)
    runs = await claim(store)
    assert sorted(run.slot or "" for run in runs) == [f"sync:{n}#0" for n in range(lanes)]
    outcome = Outcome(status, SOON, output=output)
    ends = [Settlement(run, outcome, WORKER) for run in runs]
    assert len((await store.runs.settle(ends)).won) == lanes
    stops = ordered == "stop" and status is JobStatus.ERRORED
    for each in ends:
        ended = await there(store, each.job)
        assert ended == each.written()
        assert ended.slot == (each.job.slot if stops else None)
    await store.intake.insert([in_lane(f"{n}", n=1) for n in range(lanes)])
    assert len(await claim(store)) == (0 if stops else lanes)
