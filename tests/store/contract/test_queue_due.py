"""How much is due of each name: what an autoscaler asks."""

from __future__ import annotations

from job_processor.models import FOR_A_SLOT
from job_processor.store import Store
from tests.samples import LATER, MS, NOW, SECOND, SOON, claim, occurrence, simple


async def test_what_is_due_is_counted_by_name(store: Store) -> None:
    """Pending jobs and cron tasks that are due, whatever their priority; nothing for later."""
    jobs = [simple(priority=priority) for priority in (0, 0, 5)]
    later = simple(scheduled_for=LATER)
    await store.intake.insert([*jobs, later, simple("other"), occurrence(scheduled_for=NOW)])
    due = await store.queue.count_due(["resize", "nightly", "none"], NOW, 10)
    assert due == {"resize": 3, "nightly": 1}
    assert await store.queue.count_due(["resize"], NOW - MS, 10) == {}
    assert await store.queue.count_due(["resize"], LATER, 10) == {"resize": 4}
    assert await store.queue.count_due([], NOW, 10) == {}


async def test_counting_stops_at_the_cap(store: Store) -> None:
    """Of several priorities together, in line or not."""
    jobs = [simple(priority=priority) for priority in (0, 0, 5, 5)]
    in_line = [simple(lane="resize:a") for _ in range(3)]
    await store.intake.insert([*jobs, *in_line])
    assert await store.queue.count_due(["resize"], NOW, 3) == {"resize": 3}
    assert await store.queue.count_due(["resize"], NOW, 100) == {"resize": 7}


async def test_what_runs_is_not_due(store: Store) -> None:
    """A claim takes a job out of the count."""
    await store.intake.insert([simple(), simple()])
    await store.queue.claim(claim(1, now=NOW + SECOND))
    assert await store.queue.count_due(["resize"], NOW + SECOND, 10) == {"resize": 1}


async def test_parked_jobs_are_not_due(store: Store) -> None:
    """What stands in line is due once it is ready; what is parked never is."""
    jobs = [simple(lane="resize:a") for _ in range(3)]
    later = simple(lane="resize:b", scheduled_for=LATER)
    await store.intake.insert([*jobs, later])
    assert await store.queue.count_due(["resize"], SOON, 10) == {"resize": 3}
    await store.lanes.park([job.id for job in jobs[1:]], FOR_A_SLOT, SOON)
    assert await store.queue.count_due(["resize"], SOON, 10) == {"resize": 1}
    assert await store.queue.count_due(["resize"], LATER, 10) == {"resize": 2}
