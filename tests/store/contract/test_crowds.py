"""What is seen of lanes: which are in use, what runs and waits there, and whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor.models import JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.lanes import EVERYWHERE, Bounds, LaneInfo, LimitBook, fullest_first
from tests.samples import LATER, SOON
from tests.store.contract.test_lanes import claim, end, in_lane, there, with_limits


@pytest.fixture
def limited(store: Store) -> Store:
    """A store whose process knows limits."""
    return with_limits(store)


async def look(store: Store, lane: str = "wide:a", cap: int = 100) -> LaneInfo:
    """Return how a lane stands."""
    (found,) = await store.lanes.look_at([lane], cap)
    return found


def counts(lane: LaneInfo) -> tuple[int, int, int]:
    """Return what runs, what is in line and what is parked."""
    return lane.running, lane.in_line, lane.parked


def next_of(lane: LaneInfo) -> Any:
    """Return the id of the job whose turn it is."""
    return None if lane.next is None else lane.next.id


async def wide(store: Store, count: int, **fields: Any) -> list[SimpleJob]:
    """Insert jobs of a lane of two slots."""
    jobs = [in_lane("a", "wide", n, **fields) for n in range(count)]
    await store.intake.insert(jobs)
    return jobs


async def test_a_lane_tells_what_runs_what_waits_and_what_is_next(limited: Store) -> None:
    """Running, in line and parked are counted apart, and the next one is the next to start."""
    jobs = await wide(limited, 6)
    assert counts(await look(limited)) == (0, 6, 0)
    running = await claim(limited)
    await claim(limited)
    full = await look(limited)
    assert (counts(full), next_of(full)) == ((2, 0, 4), jobs[2].id)
    assert full.next is not None
    assert (full.next.name, full.next.due) == ("wide", jobs[2].scheduled_for)
    await end(limited, running[1])
    admitted = await look(limited)
    assert (counts(admitted), next_of(admitted)) == ((1, 1, 3), jobs[2].id)
    assert (admitted.group, admitted.key, admitted.waiting) == ("wide", "a", 4)


async def test_counts_stop_at_their_cap(limited: Store) -> None:
    """However much waits, no more is counted than is asked for."""
    await wide(limited, 9)
    assert counts(await look(limited, cap=4)) == (0, 4, 0)
    await claim(limited)
    await claim(limited)
    assert counts(await look(limited, cap=3)) == (2, 0, 3)


async def test_what_is_due_is_next_before_what_is_urgent_later(limited: Store) -> None:
    """A job for later is next only where nothing is due, whatever its priority."""
    later = in_lane("a", "wide", at=LATER, priority=9)
    await limited.intake.insert([later])
    assert next_of(await look(limited)) == later.id
    due = in_lane("a", "wide", n=1)
    urgent = in_lane("a", "wide", n=2, priority=3)
    await limited.intake.insert([due, urgent])
    assert next_of(await look(limited)) == urgent.id
    _, turns = await limited.lanes.members("wide:a", 10)
    assert turns == [urgent.id, due.id, later.id]


async def test_a_stopped_lane_names_who_stops_it(limited: Store) -> None:
    """The failed job that stops an ordered lane is told, until it goes."""
    jobs = [in_lane(n=n, ordered="stop") for n in range(2)]
    await limited.intake.insert(jobs)
    (running,) = await claim(limited)
    await end(limited, running, JobStatus.ERRORED)
    stopped = await look(limited, "sync:a")
    assert (stopped.running, stopped.stopped_by) == (0, jobs[0].id)
    await limited.history.delete([jobs[0].id])
    assert (await look(limited, "sync:a")).stopped_by is None


async def test_lanes_in_use_are_those_with_anything_in_them(limited: Store) -> None:
    """Lanes in which something runs or waits, within the bounds; settled jobs count for none."""
    await limited.intake.insert(
        [in_lane(key) for key in ("a", "a#b", "b", "done")]
        + [in_lane("x", "wide"), in_lane(None, "stripe")]
    )
    runs = {job.lane: job for job in await claim(limited, "sync", "wide", "stripe")}
    await end(limited, runs["sync:done"])
    keys = Bounds.of_keys("sync")
    assert await limited.lanes.in_use([keys], 10) == ["sync:a", "sync:a#b", "sync:b"]
    of_all = await limited.lanes.in_use([EVERYWHERE], 10)
    assert of_all == ["stripe", "sync:a", "sync:a#b", "sync:b", "wide:x"]
    assert await limited.lanes.in_use([Bounds.of_keys("wide"), keys], 1) in (
        ["sync:a", "wide:x"],
        ["sync:a", "sync:a#b", "wide:x"],
    )


async def test_groups_do_not_see_each_others_lanes(limited: Store) -> None:
    """The bounds of a group leave out those whose names begin the same."""
    await limited.intake.insert(
        [in_lane("a", name) for name in ("sync", "sync-2", "sync2", "sy", "sync.d")]
    )
    assert await limited.lanes.in_use([Bounds.of_keys("sync")], 10) == ["sync:a"]


async def test_a_big_lane_hides_none(limited: Store) -> None:
    """Lanes are found by jumps, however many jobs are in those before."""
    big = [in_lane("a", n=n) for n in range(30)]
    await limited.intake.insert([*big, in_lane("b"), in_lane("c")])
    found = await limited.lanes.in_use([Bounds.of_keys("sync")], 10)
    assert found == ["sync:a", "sync:b", "sync:c"]


async def test_members_are_those_with_a_slot_and_those_to_come(limited: Store) -> None:
    """Of a lane the jobs that hold it, and the next in their order, as many as asked for."""
    jobs = await wide(limited, 6)
    await claim(limited)
    await claim(limited)
    slotted, turns = await limited.lanes.members("wide:a", 3)
    assert set(slotted) == {jobs[0].id, jobs[1].id}
    assert turns == [job.id for job in jobs[2:5]]


async def test_a_lowered_limit_takes_back_what_has_not_begun(limited: Store) -> None:
    """Admitted beyond the limit is parked again; what runs, or has a slot that is left, stays."""
    jobs = await wide(limited, 5)
    running = await claim(limited)
    await claim(limited)
    await end(limited, running[0])
    await end(limited, running[1])
    before = {job.id: job.slot for job in [await there(limited, each) for each in jobs[2:4]]}
    assert set(before.values()) == {"wide:a#0", "wide:a#1"}
    limited.lanes.book.set = {"wide": 1}
    assert await limited.lanes.retract(["wide:a", "none:a"]) == 1
    assert await limited.lanes.retract(["wide:a"]) == 0
    after = [await there(limited, each) for each in jobs[2:4]]
    assert [job.slot for job in after if job.slot] == ["wide:a#0"]
    assert [job.parked for job in after if not job.slot] == ["slot"]
    assert len(await claim(limited)) == 1


async def test_a_limit_that_was_set_holds_for_claims_and_hand_overs(limited: Store) -> None:
    """What was set counts instead of what is defined, and a higher one lets more in."""
    jobs = await wide(limited, 5)
    limited.lanes.book.set = {"wide": 1}
    limited.lanes.book.is_watched = True
    assert len(await claim(limited)) == 1
    limited.lanes.book.set = {"wide": 3}
    assert await limited.lanes.hand_over(["wide:a"]) == 2
    assert {job.id for job in await claim(limited)} == {jobs[1].id, jobs[2].id}
    assert len(await claim(limited)) == 0


async def test_who_watches_no_settings_reads_them_before_a_hand_over(limited: Store) -> None:
    """Where nobody keeps up to date what was set, a hand-over reads it, and only then."""
    asked: list[str] = []

    async def read() -> dict[str, int]:
        asked.append("read")
        return {"wide": 1}

    limited.lanes.book = LimitBook(limited.lanes.book.limits, lambda: ["wide"], lambda: SOON, read)
    await wide(limited, 6)
    running = await claim(limited)
    await claim(limited)
    assert (len(running), asked) == (2, [])
    for job in running:
        await end(limited, job)
    assert counts(await look(limited)) == (0, 1, 3)
    assert asked == ["read"] * 2
    await limited.lanes.hand_over(["wide", "unknown:a"])
    limited.lanes.book.is_watched = True
    await limited.lanes.hand_over(["wide:a"])
    assert asked == ["read"] * 2


def test_the_fullest_comes_first() -> None:
    """Lanes are told by what waits in them, then by what runs; empty ones are left out."""
    lanes = [
        LaneInfo("a:1", running=2),
        LaneInfo("a:2", in_line=1, parked=4),
        LaneInfo("a:3"),
        LaneInfo("a:4", parked=5, running=1),
    ]
    assert [each.lane for each in fullest_first(lanes)] == ["a:4", "a:2", "a:1"]
