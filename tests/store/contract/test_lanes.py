"""Slots, lines and parked jobs: the same on every store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor.models import FOR_A_SLOT, Job, JobStatus, OnFailure, SimpleJob
from job_processor.store import Store
from job_processor.store.lanes import LaneClaim, LimitBook, Taken
from job_processor.store.requests import JobQuery, Outcome, Settlement
from tests.samples import LATER, MS, NOW, OTHER_WORKER, SOON, WORKER, simple
from tests.samples import claim as plain_claim

LIMITS = {"sync": 1, "wide": 2, "stripe": 1}
NAMES = ("sync", "wide", "charge", "refund")


def in_lane(key: str | None = "a", name: str = "sync", n: int = 0, **fields: Any) -> SimpleJob:
    """Return a job of a lane, the n-th of it."""
    lane = name if key is None else f"{name}:{key}"
    return simple(name, **{"at": NOW + n * MS, "lane": lane, **fields})


def with_limits(store: Store, **limits: int) -> Store:
    """Return a store whose process knows these limits."""
    store.lanes.book = LimitBook(lambda: {**LIMITS, **limits}, lambda: NAMES, lambda: SOON)
    return store


@pytest.fixture
def limited(store: Store) -> Store:
    """A store whose process knows limits."""
    return with_limits(store)


async def claim(
    store: Store, *names: str, limit: int = 10, now: datetime = SOON, **of: Any
) -> list[Job]:
    """Claim what is in line."""
    return (await taken(store, *names, limit=limit, now=now, **of)).jobs


async def taken(
    store: Store, *names: str, limit: int = 10, now: datetime = SOON, **of: Any
) -> Taken:
    """Claim what is in line; return all that is told."""
    fields = {"worker_id": WORKER, "names": names or NAMES, "limit": limit, "now": now, **of}
    return await store.lanes.claim(LaneClaim(**fields))


async def end(store: Store, job: Job, status: JobStatus = JobStatus.FINISHED, **of: Any) -> Job:
    """Settle a job, and return it as it then stands."""
    settlement = Settlement(job, Outcome(status, SOON, **of), job.worker_id or WORKER)
    assert (await store.runs.settle([settlement])).won == {job.id}
    return await there(store, job)


async def there(store: Store, job: Job) -> Job:
    """Return a job as it stands in the database."""
    found = await store.history.get(job.id)
    assert found is not None
    return found


def ids(jobs: Sequence[Job]) -> list[Any]:
    """Return the ids of jobs, in their order."""
    return [job.id for job in jobs]


async def test_a_lane_has_as_many_running_as_its_limit(limited: Store) -> None:
    """Of a lane no more run than its limit, whoever claims; the others are parked."""
    jobs = [in_lane("a", "wide", n) for n in range(5)]
    await limited.intake.insert(jobs)
    first = await claim(limited)
    assert ids(first) == ids(jobs[:2])
    assert {job.slot for job in first} == {"wide:a#0", "wide:a#1"}
    assert await claim(limited, worker_id=OTHER_WORKER) == []
    for job in jobs[2:]:
        parked = await there(limited, job)
        assert (parked.status, parked.parked) == (JobStatus.PENDING, FOR_A_SLOT)
        assert parked.waits_for == "a slot of wide:a"
        assert parked.scheduled_for == job.scheduled_for


async def test_lanes_do_not_stand_in_each_others_way(limited: Store) -> None:
    """A full lane keeps no other lane from its own slots."""
    many = [in_lane("big", n=n) for n in range(40)]
    few = [in_lane(key, n=100) for key in "abc"]
    await limited.intake.insert([*many, *few])
    assert {job.lane for job in await claim(limited)} == {"sync:big", "sync:a", "sync:b", "sync:c"}


async def test_the_end_of_a_run_hands_its_slot_over(limited: Store) -> None:
    """Whoever settles a run gives its slot to the next of the lane, which is then in line."""
    jobs = [in_lane(n=n) for n in range(3)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await claim(limited)
    await end(limited, running)
    admitted = await there(limited, jobs[1])
    assert (admitted.slot, admitted.parked) == ("sync:a#0", None)
    assert (await there(limited, jobs[2])).parked == FOR_A_SLOT
    assert ids(await claim(limited)) == [jobs[1].id]


async def test_a_run_that_is_tried_again_frees_its_slot(limited: Store) -> None:
    """A job that is tried again has no slot meanwhile, and takes one to run again."""
    jobs = [in_lane(n=n) for n in range(2)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    waiting = await end(limited, running, JobStatus.PENDING, scheduled_for=LATER, attempt=2)
    assert (waiting.slot, waiting.lane, waiting.scheduled_for) == (None, "sync:a", LATER)
    (other,) = await claim(limited)
    assert other.id == jobs[1].id
    await end(limited, other)
    assert ids(await claim(limited, now=LATER)) == [jobs[0].id]


async def test_a_paused_run_comes_first_again(limited: Store) -> None:
    """The slot of a run that is paused goes to the next of its lane, which may be itself."""
    jobs = [in_lane(n=n) for n in range(2)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    paused = await end(limited, running, JobStatus.PAUSED)
    assert (paused.status, paused.slot) == (JobStatus.PAUSED, "sync:a#0")
    assert ids(await claim(limited)) == [jobs[0].id]


@pytest.mark.parametrize("again", ["retry", "pause"])
async def test_an_ordered_lane_keeps_its_slot(limited: Store, again: str) -> None:
    """Where order is promised, a job that waits to run again keeps its slot: nothing overtakes."""
    jobs = [in_lane(n=n, ordered="continue") for n in range(2)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    if again == "retry":
        waiting = await end(limited, running, JobStatus.PENDING, scheduled_for=LATER, attempt=2)
    else:
        waiting = await end(limited, running, JobStatus.PAUSED)
    assert waiting.slot == "sync:a#0"
    assert ids(await claim(limited)) == ([] if again == "retry" else [jobs[0].id])
    if again == "retry":
        assert ids(await claim(limited, now=LATER)) == [jobs[0].id]


async def test_an_ordered_lane_starts_its_next_and_not_whoever_is_met(limited: Store) -> None:
    """In an ordered lane the earliest due job starts, whoever stands first in line."""
    first, second = (in_lane(n=n, ordered="continue") for n in range(2))
    await limited.intake.insert([second])
    await limited.lanes.park([second.id], FOR_A_SLOT, NOW)
    await limited.intake.insert([first])
    await limited.lanes.park([first.id], FOR_A_SLOT, NOW)
    await limited.lanes.release([second.id], NOW)
    assert ids(await claim(limited)) == [first.id]
    assert (await there(limited, second)).parked == FOR_A_SLOT


@pytest.mark.parametrize(("rule", "goes_on"), [("continue", True), ("stop", False)])
async def test_a_failure_stops_an_ordered_lane_where_that_is_asked_for(
    limited: Store, rule: OnFailure, goes_on: bool
) -> None:
    """An errored job stops its lane with `stop`, until somebody retries or deletes it."""
    jobs = [in_lane(n=n, ordered=rule) for n in range(3)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await end(limited, running, JobStatus.ERRORED)
    assert (ids(await claim(limited)) == [jobs[1].id]) is goes_on
    if not goes_on:
        again = await limited.history.requeue(jobs[0].id, SOON)
        assert again is not None
        (running,) = await claim(limited)
        assert running.id == jobs[0].id
        await end(limited, running, JobStatus.ERRORED)
        assert await limited.history.delete([jobs[0].id]) == {jobs[0].id}
        assert ids(await claim(limited)) == [jobs[1].id]


async def test_a_job_for_later_keeps_no_lane(limited: Store) -> None:
    """Only due jobs count in an ordered lane: one for next week stands in nobody's way."""
    later = in_lane(n=0, ordered="continue", scheduled_for=LATER)
    now = in_lane(n=1, ordered="continue")
    await limited.intake.insert([later, now])
    assert ids(await claim(limited)) == [now.id]
    assert await limited.lanes.next_ready(["sync"], SOON) == LATER


async def test_a_lane_without_a_key_parks_nobody(limited: Store) -> None:
    """A full lane without a key is left out of the look: its jobs stay in line."""
    jobs = [in_lane(None, n=n) for n in range(50)]
    other = in_lane("b", "wide", n=90)
    await limited.intake.insert([*jobs, other])
    found = await taken(limited)
    assert ids(found.jobs) == [jobs[0].id, other.id]
    assert found.blocked
    assert {(await there(limited, job)).parked for job in jobs} == {None}
    again = await taken(limited)
    assert (again.jobs, again.blocked) == ([], True)
    await end(limited, found.jobs[0])
    assert ids(await claim(limited)) == [jobs[1].id]


async def test_a_group_shares_its_slots(limited: Store) -> None:
    """Several names of one group share one lane, and each worker starts what it serves alone."""
    charge = in_lane(n=0, name="charge", lane="stripe:x")
    refund = in_lane(n=1, name="refund", lane="stripe:x")
    await limited.intake.insert([charge, refund])
    assert ids(await claim(limited, "refund")) == [refund.id]
    assert await claim(limited, "charge") == []
    await end(limited, await there(limited, refund))
    assert ids(await claim(limited, "charge")) == [charge.id]


async def test_what_stands_in_line_keeps_its_place_when_it_gets_a_slot(limited: Store) -> None:
    """A claim that has begun before the slot was handed over meets it all the same."""
    parked = in_lane(n=1)
    await limited.intake.insert([in_lane(n=0), parked])
    (running,) = await claim(limited)
    assert await claim(limited) == []
    assert (await there(limited, parked)).parked == FOR_A_SLOT
    urgent = in_lane(n=2, priority=5)
    await limited.intake.insert([urgent])
    await end(limited, running)
    assert (await there(limited, urgent)).slot is not None
    assert ids(await claim(limited, now=NOW + 3 * MS)) == [urgent.id]


async def test_a_lowered_limit_lets_what_runs_end(limited: Store) -> None:
    """Slots above a limit that was lowered are not taken again, and nobody loses one."""
    jobs = [in_lane("a", "wide", n) for n in range(4)]
    await limited.intake.insert(jobs)
    first, second = await claim(limited)
    with_limits(limited, wide=1)
    assert await claim(limited) == []
    await end(limited, second if second.slot == "wide:a#1" else first)
    assert await claim(limited) == []
    await end(limited, first if first.slot == "wide:a#0" else second)
    assert ids(await claim(limited)) == [jobs[2].id]


async def test_a_plain_claim_never_meets_a_job_of_a_lane(limited: Store) -> None:
    """What does not know of lanes claims none of their jobs, in line, parked or admitted."""
    jobs = [in_lane(n=n) for n in range(3)]
    await limited.intake.insert(jobs)
    assert await limited.queue.claim(plain_claim(10, "sync")) == []
    assert await limited.queue.next_due(["sync"]) is None
    (running,) = await claim(limited)
    await claim(limited)
    await end(limited, running)
    assert await limited.queue.claim(plain_claim(10, "sync")) == []


async def test_a_kill_frees_what_was_admitted(limited: Store) -> None:
    """A killed job that had a slot hands it over; one that was parked held none."""
    jobs = [in_lane(n=n) for n in range(4)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await claim(limited)
    await end(limited, running)
    killed = await limited.kills.kill_waiting(jobs[1].id, SOON)
    assert killed is not None
    assert (killed.status, killed.scheduled_for) == (JobStatus.KILLED, jobs[1].scheduled_for)
    assert (await there(limited, jobs[2])).slot == "sync:a#0"
    parked = await limited.kills.kill_waiting(jobs[3].id, SOON)
    assert parked is not None
    assert (parked.parked, parked.scheduled_for) == (None, jobs[3].scheduled_for)


async def test_a_deleted_job_frees_its_slot(limited: Store) -> None:
    """An admitted job that is deleted hands its slot over."""
    jobs = [in_lane(n=n) for n in range(3)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await claim(limited)
    await end(limited, running)
    await limited.history.delete([jobs[1].id])
    assert ids(await claim(limited)) == [jobs[2].id]


async def test_a_job_that_is_retried_by_hand_waits_in_its_lane(limited: Store) -> None:
    """A settled job that is retried waits for a slot as a new one does."""
    jobs = [in_lane(n=n) for n in range(2)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await end(limited, running)
    again = await limited.history.requeue(jobs[0].id, SOON)
    assert again is not None
    assert (again.lane, again.slot, again.scheduled_for) == ("sync:a", None, SOON)
    assert ids(await claim(limited)) == [jobs[1].id]
    assert (await there(limited, jobs[0])).parked == FOR_A_SLOT


async def test_a_replaced_job_stays_parked(limited: Store) -> None:
    """Who takes the place of a parked job is parked too, unless its lane or its time is another."""
    holder = in_lane(n=1, unique_key="k")
    await limited.intake.insert([in_lane(n=0), holder])
    await claim(limited)
    parked = await there(limited, holder)
    assert isinstance(parked, SimpleJob)
    wanted = in_lane(n=2, unique_key="k", at=SOON, payload={"n": 2})
    stored = await limited.intake.replace(parked, wanted)
    assert stored is not None
    assert (stored.parked, stored.scheduled_for) == (FOR_A_SLOT, wanted.scheduled_for)
    found = await there(limited, holder)
    assert (found.parked, found.scheduled_for) == (FOR_A_SLOT, wanted.scheduled_for)
    assert isinstance(found, SimpleJob)
    moved = await limited.intake.replace(found, in_lane("b", n=3, unique_key="k", at=SOON))
    assert moved is not None
    assert ids(await claim(limited)) == [holder.id]


async def test_a_reason_of_its_own_parks_a_job_without_a_lane(store: Store) -> None:
    """A parked job starts only when it is released, at its own time or the one that is given."""
    jobs = [simple("resize"), simple("resize", parked="token")]
    await store.intake.insert(jobs)
    assert await store.lanes.park([jobs[0].id], "token", NOW) == 1
    assert await store.lanes.park([jobs[0].id], "other", NOW) == 0
    assert await store.queue.claim(plain_claim(10, "resize")) == []
    assert await store.lanes.release([jobs[0].id], NOW, LATER) == 1
    assert await store.lanes.release([jobs[1].id], NOW) == 1
    assert await store.lanes.release([jobs[1].id], NOW) == 0
    assert (await there(store, jobs[0])).scheduled_for == LATER
    assert ids(await store.queue.claim(plain_claim(10, "resize"))) == [jobs[1].id]


async def test_an_admitted_job_that_nobody_claims_is_withdrawn(limited: Store) -> None:
    """A slot of an admitted job whose name nobody serves is for others, once it waited too long."""
    jobs = [
        in_lane(n=n, name=name, lane="stripe:x")
        for n, name in enumerate(("charge", "charge", "refund"))
    ]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited, "charge", limit=1)
    await claim(limited)
    await end(limited, running)
    lanes = ["stripe:x"]
    assert await limited.lanes.withdraw(lanes, SOON, ["refund"]) == 0
    assert await limited.lanes.withdraw(lanes, LATER, ["charge"]) == 0
    assert await limited.lanes.withdraw(lanes, LATER, ["refund"]) == 1
    assert await limited.lanes.holding([job.id for job in jobs]) == {}
    assert (await there(limited, jobs[1])).parked == FOR_A_SLOT


async def test_a_limit_that_is_no_more_lets_all_go(limited: Store) -> None:
    """Jobs of a name without a limit any more leave their lanes, a bounded number at a time."""
    jobs = [in_lane(n=n) for n in range(5)]
    await limited.intake.insert(jobs)
    await claim(limited)
    assert await limited.lanes.dissolve(["sync:a"], ["sync"], 3) == 3
    assert await limited.lanes.dissolve(["sync:a"], ["sync"], 3) == 1
    assert len(await limited.queue.claim(plain_claim(10, "sync"))) == 4


async def test_the_lanes_that_wait_are_told_by_name(limited: Store) -> None:
    """The sweep gets the lanes in which anything waits, in order, from where it stopped."""
    await limited.intake.insert([in_lane(key) for key in "dabcd"])
    assert await limited.lanes.waiting("", 3) == ["sync:a", "sync:b", "sync:c"]
    assert await limited.lanes.waiting("sync:c", 3) == ["sync:d"]
    assert await limited.lanes.waiting("sync:d", 3) == []


async def test_jobs_are_found_by_their_lane(limited: Store) -> None:
    """A selection may be of one lane, whatever became of its jobs."""
    jobs = [in_lane("a", "wide", n) for n in range(4)]
    await limited.intake.insert([*jobs, in_lane("b", "wide", 9), simple("wide")])
    running, _ = await claim(limited, limit=2)
    await end(limited, running)
    query = JobQuery(lane="wide:a")
    assert set(ids(await limited.history.find(query))) == set(ids(list(jobs)))
    assert await limited.history.count_matching(query, 10) == 4
    pending = JobQuery(lane="wide:a", status=JobStatus.PENDING)
    assert await limited.history.count_matching(pending, 10) == 2
    shown = await limited.history.summaries(query)
    assert {job.lane for job in shown} == {"wide:a"}
    assert all(job.scheduled_for < SOON + timedelta(days=1) for job in shown)


async def test_what_is_in_line_is_due_and_what_is_parked_is_not(limited: Store) -> None:
    """Lists and signals of due work count what waits for a worker, not what waits for a slot."""
    jobs = [in_lane(n=n) for n in range(3)]
    await limited.intake.insert(jobs)
    assert len(await limited.queue.due(SOON, 10)) == 3
    vitals = await limited.workers.vitals()
    assert vitals.due_since in (jobs[0].scheduled_for, None)  # by the database's own clock
    await claim(limited)
    await claim(limited)
    assert await limited.queue.due(SOON, 10) == []
    assert await limited.lanes.parked(NAMES, 10) == {"sync": 2}
    assert await limited.lanes.parked(["sync"], 1) == {"sync": 1}


async def test_a_claim_leaves_out_what_is_excluded(limited: Store) -> None:
    """A job that its worker holds still is not claimed, and its lane goes on without it."""
    jobs = [in_lane(n=n) for n in range(2)]
    await limited.intake.insert(jobs)
    assert ids(await claim(limited, exclude=frozenset({jobs[0].id}))) == [jobs[1].id]
