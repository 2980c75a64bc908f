"""Jobs that come after others: released, skipped, and found again, the same on every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import (
    FOR_A_PARENT,
    Job,
    JobStatus,
    OnParentFailure,
    Output,
    RelatedJob,
    SimpleJob,
)
from job_processor.store import Store
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.waits import RELEASED_AT_ONCE, End, job_tag
from tests.samples import LATER, NOW, SECOND, SOON, WORKER, claim, end, run, simple

WELL, BADLY = True, False


def after(*parents: Job | str, rule: OnParentFailure | None = None, **fields: Any) -> SimpleJob:
    """Return a job that waits for others."""
    tags = tuple(each if isinstance(each, str) else job_tag(each.id) for each in parents)
    waits: dict[str, Any] = {"after": tags, "waiting_for": tags, "parked": FOR_A_PARENT}
    return simple("child", **{**waits, "on_parent_failure": rule, **fields})


async def there(store: Store, job: Job) -> Job:
    """Return a job as it stands in the database."""
    found = await store.history.get(job.id)
    assert found is not None
    return found


async def add(store: Store, *jobs: Job) -> None:
    """Insert jobs."""
    assert await store.intake.insert(jobs) == []


def ended(job: Job, well: bool = WELL) -> End:
    """Return the end of a job."""
    return End(job_tag(job.id), well, "" if well else f"parent {job.id} errored")


async def claimed(store: Store, *names: str) -> list[Any]:
    """Return the ids of what can be claimed."""
    jobs = await store.queue.claim(claim(100, *(names or ("child",)), now=SOON))
    return [job.id for job in jobs]


async def test_what_waits_is_met_by_no_claim(store: Store) -> None:
    """A job that comes after others is pending, at its true time, and no claim takes it."""
    parent = simple("parent")
    child = after(parent)
    await add(store, parent, child)
    waiting = await there(store, child)
    assert waiting == child
    assert waiting.waits_for == "the end of what it comes after"
    assert waiting.parents == (parent.id,)
    assert await claimed(store) == []
    assert await store.queue.next_due(["child"]) in (None, waiting.scheduled_for)


async def test_the_last_of_its_parents_releases_it(store: Store) -> None:
    """It starts once all that it comes after has finished, and not before."""
    first, second = simple("parent"), simple("parent")
    child = after(first, second)
    await add(store, first, second, child)
    await store.waits.release([ended(first)])
    assert (await there(store, child)).waiting_for == (job_tag(second.id),)
    assert await claimed(store) == []
    await store.waits.release([ended(second)])
    free = await there(store, child)
    assert (free.parked, free.waiting_for, free.after) == (None, (), child.after)
    assert await claimed(store) == [child.id]


async def test_a_release_twice_does_nothing(store: Store) -> None:
    """Whoever repeats a release moves nobody."""
    parent = simple("parent")
    child = after(parent, simple("other"))
    await add(store, child)
    await store.waits.release([ended(parent)])
    before = await there(store, child)
    assert await store.waits.release([ended(parent)]) == 0
    assert await there(store, child) == before


async def test_it_starts_at_its_own_time(store: Store) -> None:
    """One that is released before its time is due at its time."""
    parent = simple("parent")
    child = after(parent, due_in=60.0)
    await add(store, child)
    await store.waits.release([ended(parent)])
    assert await claimed(store) == []
    assert (await there(store, child)).scheduled_for == child.scheduled_for
    assert await store.queue.next_due(["child"]) == child.scheduled_for


async def test_one_of_a_lane_waits_for_its_slot_afterwards(store: Store) -> None:
    """A job of a limit is in its lane once it is released: no claim but that of lanes takes it."""
    store.lanes.book = LimitBook(lambda: {"child": 1}, lambda: ("child",), lambda: SOON)
    parent = simple("parent")
    first, second = after(parent, lane="child:a"), after(parent, lane="child:a")
    await add(store, first, second)
    assert (await store.lanes.claim(LaneClaim(WORKER, ("child",), 10, SOON))).jobs == []
    await store.waits.release([ended(parent)])
    assert await claimed(store) == []
    running = (await store.lanes.claim(LaneClaim(WORKER, ("child",), 10, SOON))).jobs
    assert len(running) == 1


async def test_a_limit_that_is_no_more_frees_no_child(store: Store) -> None:
    """A lane that is dissolved leaves what waits for a parent where it waits."""
    parent = simple("parent")
    child = after(parent, lane="child:a")
    await add(store, child)
    await store.lanes.dissolve(["child:a"], ["child"], 10)
    waiting = await there(store, child)
    assert (waiting.lane, waiting.parked) == (None, FOR_A_PARENT)
    assert await claimed(store) == []
    await store.waits.release([ended(parent)])
    assert await claimed(store) == [child.id]


async def test_a_failure_skips_what_comes_after_it(store: Store) -> None:
    """With the reason, and in turn what comes after that."""
    parent = simple("parent")
    child = after(parent, followed=True)
    grandchild = after(child)
    await add(store, child, grandchild)
    told: list[Any] = []
    store.on_ended(told.append)
    await store.waits.release([ended(parent, BADLY)])
    skipped = await there(store, child)
    assert skipped.status is JobStatus.SKIPPED
    assert skipped.output is not None
    assert skipped.output.error == f"parent {parent.id} errored"
    assert skipped.output.skip_metadata is not None
    assert skipped.output.skip_metadata.conflicting_job_id == parent.id
    assert skipped.ended_at is not None
    assert (skipped.parked, skipped.scheduled_for) == (None, child.scheduled_for)
    last = await there(store, grandchild)
    assert last.output is not None
    assert last.output.error == f"parent {child.id} skipped"
    assert any(ids is not None and child.id in ids for ids in told)


async def test_one_failure_is_enough(store: Store) -> None:
    """A job with several parents is skipped at the first failure, whatever the others do."""
    first, second = simple("parent"), simple("parent")
    child = after(first, second)
    await add(store, child)
    await store.waits.release([ended(second, BADLY)])
    assert (await there(store, child)).status is JobStatus.SKIPPED
    await store.waits.release([ended(first)])
    assert (await there(store, child)).status is JobStatus.SKIPPED


async def test_run_goes_on_after_a_failure(store: Store) -> None:
    """`run`: a failure is an end like any other."""
    parent = simple("parent")
    child = after(parent, rule="run")
    await add(store, child)
    await store.waits.release([ended(parent, BADLY)])
    assert await claimed(store) == [child.id]


async def test_wait_waits_on_after_a_failure(store: Store) -> None:
    """`wait`: it stands until its parent finishes, and is skipped when that is gone."""
    parent, other = simple("parent"), simple("parent")
    child, lost = after(parent, rule="wait"), after(other, rule="wait")
    await add(store, child, lost)
    assert await store.waits.release([ended(parent, BADLY), ended(other, BADLY)]) == 0
    assert (await there(store, child)) == child
    await store.waits.release([ended(parent), End(job_tag(other.id), BADLY, "is gone", gone=True)])
    assert await claimed(store) == [child.id]
    assert (await there(store, lost)).status is JobStatus.SKIPPED


async def test_one_of_wait_may_have_a_failed_and_a_finished_parent(store: Store) -> None:
    """Of two that end at once, only the one that finished is taken off."""
    good, bad = simple("parent"), simple("parent")
    child = after(good, bad, rule="wait")
    await add(store, child)
    await store.waits.release([ended(good), ended(bad, BADLY)])
    assert (await there(store, child)).waiting_for == (job_tag(bad.id),)


async def test_more_than_one_pass_takes(store: Store) -> None:
    """However many wait, all of them are released, each pass a bounded number."""
    parent = simple("parent")
    many = [after(parent, id=ObjectId()) for _ in range(RELEASED_AT_ONCE + 2)]
    await add(store, *many)
    assert await store.waits.release([ended(parent)]) == len(many)
    assert await store.waits.waited_for("", 10) == []


async def test_what_passes_do_not_reach_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cascade that is longer than its passes is handed on, and goes on from there."""
    monkeypatch.setattr("job_processor.store.desks.waits.RELEASE_PASSES", 2)
    parent = simple("parent")
    chain = [after(parent, followed=True)]
    for _ in range(4):
        chain.append(after(chain[-1], followed=True))
    await add(store, *chain)
    left: list[End] = []
    store.waits.on_left = left.extend
    await store.waits.release([ended(parent, BADLY)])
    assert [(await there(store, job)).settled for job in chain] == [True, True, *[False] * 3]
    while left:
        more, left[:] = list(left), []
        await store.waits.release(more)
    assert all([(await there(store, job)).settled for job in chain])


async def test_whoever_follows_marks_and_looks(store: Store) -> None:
    """What has not ended is marked, its time left alone; the states of all that exist are told."""
    (running,) = await run(store, simple("parent"))
    waiting, gone = simple("parent"), ObjectId()
    (finished,) = await run(store, simple("other"))
    await store.runs.settle([end(finished)])
    await add(store, waiting)
    states = await store.waits.follow([running.id, waiting.id, finished.id, gone])
    assert states == {
        running.id: JobStatus.RUNNING,
        waiting.id: JobStatus.PENDING,
        finished.id: JobStatus.FINISHED,
    }
    assert await there(store, running) == replace(running, followed=True)
    assert (await there(store, waiting)).followed
    assert not (await there(store, finished)).followed


async def test_what_is_waited_for_is_listed_once(store: Store) -> None:
    """The tags that anybody waits for, in order, from one on, at most so many."""
    tags = [f"j:{n:024x}" for n in range(5)]
    jobs = [after(tags[n], tags[(n + 1) % 5], id=ObjectId()) for n in range(5)]
    await add(store, *jobs, after(tags[0]))
    assert await store.waits.waited_for("", 10) == tags
    assert await store.waits.waited_for(tags[1], 2) == tags[2:4]
    await store.waits.release([End(tag, WELL) for tag in tags])
    assert await store.waits.waited_for("", 10) == []


async def test_those_that_come_after_are_listed(store: Store) -> None:
    """For good, the oldest first, whatever has become of them."""
    parent = simple("parent")
    jobs = [after(parent) for _ in range(3)]
    await add(store, *jobs, after(simple("other")))
    await store.waits.release([ended(parent)])
    ids = sorted(job.id for job in jobs)
    assert await store.waits.followers(job_tag(parent.id), 10) == ids
    assert await store.waits.followers(job_tag(parent.id), 2) == ids[:2]
    await store.history.delete(ids)
    assert await store.waits.followers(job_tag(parent.id), 10) == []


async def test_how_parents_stand(store: Store) -> None:
    """Of those that exist, their names, states and errors."""
    (failed, waiting) = await run(store, simple("parent"), simple("other"))
    await store.runs.settle([end(failed, JobStatus.ERRORED, output=Output("1 second", 1, "no"))])
    parents = await store.waits.parents([failed.id, ObjectId(), waiting.id])
    assert sorted(parents, key=lambda parent: parent.id) == sorted(
        [
            RelatedJob(failed.id, "parent", JobStatus.ERRORED, "no"),
            RelatedJob(waiting.id, "other", JobStatus.RUNNING),
        ],
        key=lambda parent: parent.id,
    )


async def test_those_skipped_because_of_it_come_back(store: Store) -> None:
    """They wait again for all that they come after; those skipped for another reason do not."""
    parent, other = simple("parent"), simple("parent")
    child, elsewhere = after(parent, other), after(other, parent)
    await add(store, child, elsewhere)
    await store.waits.release([ended(parent, BADLY)][:1])
    await add(store, (run_anyway := after(parent, rule="run")))
    await store.waits.release([ended(parent, BADLY)])
    back = await store.waits.bring_back(job_tag(parent.id), LATER, 10)
    assert back == {child.id: child.after, elsewhere.id: elsewhere.after}
    waiting = await there(store, child)
    assert (waiting.status, waiting.waiting_for) == (JobStatus.PENDING, child.after)
    assert (waiting.ended_at, waiting.output) == (None, None)
    assert waiting.scheduled_for == child.scheduled_for
    assert await store.waits.bring_back(job_tag(parent.id), LATER, 10) == {}
    assert await claimed(store) == [run_anyway.id]
    await store.waits.release([ended(parent), ended(other)])
    assert sorted(await claimed(store)) == sorted([child.id, elsewhere.id])


async def test_an_exclusive_one_does_not_come_back_beside_another(store: Store) -> None:
    """It stays skipped while another of its name is active, and the others come back."""
    parent = simple("parent")
    alone, plain = after(parent, exclusive=True), after(parent)
    await add(store, alone, plain)
    await store.waits.release([ended(parent, BADLY)])
    await add(store, simple("child", exclusive=True))
    assert set(await store.waits.bring_back(job_tag(parent.id), LATER, 10)) == {plain.id}
    assert (await there(store, alone)).status is JobStatus.SKIPPED


@pytest.mark.parametrize("rule", [None, "run", "wait"])
async def test_one_that_is_killed_while_it_waits_waits_no_more(
    store: Store, rule: OnParentFailure | None
) -> None:
    """Neither a release nor a failure moves it afterwards."""
    parent = simple("parent")
    child = after(parent, rule=rule)
    await add(store, child)
    await store.kills.kill_waiting(child.id, NOW + SECOND)
    assert await store.waits.release([ended(parent), ended(parent, BADLY)]) == 0
    killed = await there(store, child)
    assert (killed.status, killed.waiting_for) == (JobStatus.KILLED, ())
    assert await store.waits.waited_for("", 10) == []
