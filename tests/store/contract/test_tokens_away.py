"""What leaves a lane of a rate otherwise than by its date, or has a limit too: on every store."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor.models import DATED, FOR_A_SLOT, FOR_A_TOKEN, NEXT, Job, JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.rates import Pace
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.tokens import KeyedRate
from tests.clocks_of_lanes import DatabaseClock
from tests.samples import NOW, WORKER, simple
from tests.samples import claim as plain_claim
from tests.store.contract.rated import NAMES, RATES, STEP, Lanes, ids


@pytest.fixture
def lanes(store: Store, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """A store with rates."""
    return Lanes(store, DatabaseClock(store, NOW, monkeypatch))


@pytest.mark.parametrize("how", ["kill", "delete", "replace"])
async def test_whoever_takes_a_dated_one_away_lets_another_follow(lanes: Lanes, how: str) -> None:
    """Its token is spent, and the lane does not stand still."""
    first, second, third = [
        job for key in "abc" for job in await lanes.add(1, name="slow", unique_key=key)
    ]
    assert ids(await lanes.claim()) == [first.id]
    dated = await lanes.there(second)
    assert dated.parked == DATED
    await take_away(lanes, how, dated)
    assert (await lanes.there(third)).parked in (DATED, NEXT)
    lanes.clock.move(2 * 3600)
    assert third.id in ids(await lanes.claim())


async def take_away(lanes: Lanes, how: str, job: Job) -> None:
    """Let a job leave its line, otherwise than by a claim."""
    store = lanes.store
    if how == "kill":
        assert await store.kills.kill_waiting(job.id, lanes.clock.now)
    elif how == "delete":
        assert await store.history.delete([job.id]) == {job.id}
    else:
        assert isinstance(job, SimpleJob)
        other = simple("slow", at=lanes.clock.now, rate_lane="slow:other", unique_key="b")
        assert await store.intake.replace(job, other)


async def test_a_rate_that_lets_more_start_recalls_what_is_far(lanes: Lanes) -> None:
    """A date an hour away is given anew by the new rate; one that is near stands."""
    jobs = await lanes.add(3, name="slow")
    await lanes.claim()
    assert await lanes.store.lanes.next_ready(["slow"]) == NOW + timedelta(hours=1)
    lanes.rates["slow"] = KeyedRate(Pace.of(5, 1.0, 1, dates=True))
    now = lanes.clock.now
    assert await lanes.store.tokens.recall("slow", now + timedelta(seconds=2), now) == 1
    assert await lanes.store.tokens.recall("slow", now + timedelta(seconds=2), now) == 0
    assert await lanes.store.tokens.recall("other", now, now) == 0
    started = 0
    for _ in range(30):
        started += len(await lanes.claim())
        lanes.clock.move(STEP)
    assert started == len(jobs) - 1


async def test_names_that_nobody_claims_let_others_follow(lanes: Lanes) -> None:
    """A dated one of a paused or unknown name is parked by the sweep, and one of another dated."""
    lanes.rates["api"] = RATES["call"]
    unknown = await lanes.add(15, name="call", rate_lane="api:a")
    known = await lanes.add(2, name="mail", rate_lane="api:a", at=NOW)
    assert len(await lanes.claim()) == 1
    lanes.clock.move(60)
    lanes.names = ("mail",)
    assert await lanes.store.tokens.withdraw(["api:a"], lanes.clock.now, ["mail"]) > 0
    assert await lanes.store.tokens.admit(["api:a"]) >= 1
    assert (await lanes.states(unknown))[FOR_A_TOKEN] == 14
    started = ids(await lanes.claim())
    lanes.clock.move(STEP)
    started += ids(await lanes.claim())
    assert started == ids(known)


async def test_a_lane_that_a_dead_process_left_is_found(lanes: Lanes) -> None:
    """Whoever died after it took the last dated one: the sweep lets the next one follow."""
    jobs = await lanes.add(3)
    lanes.names = ()  # nobody may follow, as if nobody had let them
    await lanes.claim(*NAMES)
    lanes.clock.move(60)
    for _ in range(20):
        await lanes.claim(*NAMES)
        lanes.clock.move(60)
    lanes.names = NAMES
    assert await lanes.store.tokens.waiting("", 10) in ([], ["call:a"])
    await lanes.store.tokens.admit(["call:a"])
    for _ in range(5):
        await lanes.claim()
        lanes.clock.move(STEP)
    assert await lanes.states(jobs) == {"running": 3}


async def test_lanes_in_which_anything_waits_are_walked_along(lanes: Lanes) -> None:
    """By name, behind one, so many at most."""
    for key in "cab":
        await lanes.add(2, key)
    assert await lanes.store.tokens.waiting("", 2) == ["call:a", "call:b"]
    assert await lanes.store.tokens.waiting("call:b", 2) == ["call:c"]
    assert await lanes.store.tokens.waiting("", 0) == []


async def test_a_rate_that_is_no_more_lets_its_jobs_go(lanes: Lanes) -> None:
    """They are plain jobs again, at their own times; of other names they stay."""
    jobs = await lanes.add(3, name="slow")
    await lanes.claim()
    assert await lanes.store.tokens.dissolve(["slow:a"], ["other"], 10) == 0
    assert await lanes.store.tokens.dissolve(["slow:a"], ["slow"], 1) == 1
    assert await lanes.store.tokens.dissolve(["slow:a"], ["slow"], 10) == 1
    claimed = await lanes.store.queue.claim(plain_claim(5, "slow"))
    assert set(ids(claimed)) == set(ids(jobs[1:]))
    assert {job.rate_lane for job in claimed} == {None}
    assert [job.scheduled_for for job in claimed] == [job.scheduled_for for job in jobs[1:]]


async def test_nobody_who_knows_no_lanes_meets_a_job_of_one(lanes: Lanes) -> None:
    """Neither one that is in line nor one that is dated, the next or parked."""
    await lanes.add(50)
    assert await lanes.store.queue.claim(plain_claim(50, "call")) == []
    await lanes.claim()
    await lanes.add(1)
    lanes.clock.move(1)
    later = plain_claim(50, "call", now=NOW + timedelta(days=300))
    assert await lanes.store.queue.claim(later) == []
    assert await lanes.store.queue.next_due(["call"]) is None


async def test_what_runs_again_waits_for_a_start_again(lanes: Lanes) -> None:
    """A retry, a resume and a job that was given back have no more right to start than others."""
    (job,) = await lanes.add(1)
    for status, of in (
        (JobStatus.PENDING, {"scheduled_for": NOW, "attempt": 2}),
        (JobStatus.PAUSED, {}),
        (JobStatus.PENDING, {"started": False}),
    ):
        (running,) = await lanes.claim()
        outcome = Outcome(status, lanes.clock.now, **of)
        await lanes.store.runs.settle([Settlement(running, outcome, WORKER)])
        assert await lanes.claim() == []
        assert (await lanes.there(job)).parked == DATED
        lanes.clock.move(STEP)
    (running,) = await lanes.claim()
    await lanes.store.runs.settle([Settlement(running, Outcome(JobStatus.FINISHED, NOW), WORKER)])
    again = await lanes.store.history.requeue(job.id, lanes.clock.now)
    assert again is not None
    assert again.rate_lane == "call:a"
    assert await lanes.claim() == []


async def test_what_may_not_start_now_is_told_where_nothing_waits(lanes: Lanes) -> None:
    """By a rate that skips: all that were met run, and it is said of whom that is to end."""
    jobs = await lanes.add(5, name="never")
    taken = await lanes.taken()
    assert set(ids(taken.jobs)) == set(ids(jobs))
    assert set(taken.refused) == set(ids(taken.jobs[2:]))
    assert all(wait > 0 for wait in taken.refused.values())


async def test_a_slot_comes_first_and_then_a_token(lanes: Lanes) -> None:
    """What has no slot asks for no token; what has one, and no token, keeps nobody from it."""
    jobs = await lanes.add(4, name="both", lane="both:x")
    other = await lanes.add(1, "b", name="both", lane="both:x")
    (running,) = await lanes.claim()
    assert running.id == jobs[0].id
    assert await lanes.states(jobs[1:] + other) == {FOR_A_SLOT: 4}
    lanes.clock.move(STEP / 2)
    await lanes.end(running)
    # The slot was handed to the second of the key, which has to wait for its token: the slot goes
    # on to whoever may start.
    started = [job for _ in range(4) for job in await lanes.claim()]
    assert ids(started) == ids(other)
    await lanes.end(started[0])
    left = {job.id for job in jobs[1:]}
    for _ in range(12):
        lanes.clock.move(STEP)
        for job in await lanes.claim():
            left.discard(job.id)
            await lanes.end(job)
    assert not left


async def test_a_lane_with_an_order_keeps_its_slot_for_who_waits_for_a_token(lanes: Lanes) -> None:
    """Nobody overtakes it, and all start in their order."""
    jobs = await lanes.add(3, name="line", lane="line:x", ordered="continue")
    other = await lanes.add(2, "b", name="line", lane="line:x", ordered="continue", at=NOW)
    started: list[ObjectId] = []
    for _ in range(40):
        for job in await lanes.claim():
            started.append(job.id)
            await lanes.end(job)
        lanes.clock.move(STEP / 2)
    assert started == [*ids(jobs), *sorted(ids(other))]


async def test_a_limit_that_is_no_more_leaves_the_rate(lanes: Lanes) -> None:
    """And a rate that is no more the limit: each in whatever way it waits."""
    jobs = await lanes.add(4, name="both", lane="both:x")
    (running,) = await lanes.claim()
    assert await lanes.store.lanes.dissolve(["both:x"], ["both"], 10) == 3
    assert await lanes.claim() == []
    assert await lanes.states(jobs[1:]) == {DATED: 3}
    lanes.clock.move(STEP)
    assert ids(await lanes.claim()) == ids(jobs[1:2])
    later = await lanes.add(3, "c", name="both", lane="both:y")
    await lanes.claim()
    assert await lanes.store.tokens.dissolve(["both:c"], ["both"], 10) == 2
    assert await lanes.states(later) == {"running": 1, FOR_A_SLOT: 2}
    del running
