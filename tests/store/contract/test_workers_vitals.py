"""The few numbers that probes and gauges ask for."""

from __future__ import annotations

from datetime import timedelta

from job_processor.models import JobStatus
from job_processor.store import Store
from tests.samples import NOW, SECOND, claim, end, occurrence, run, simple, worker

HOUR = timedelta(hours=1)


async def test_an_empty_database(store: Store) -> None:
    """Has no worker and nothing due."""
    vitals = await store.workers.vitals()
    assert (vitals.workers, vitals.alive, vitals.due_since) == (0, 0, None)
    assert abs(vitals.now - await store.ping()) < HOUR


async def test_workers_and_what_is_due(store: Store) -> None:
    """Living and dead workers are counted; the first of all due jobs tells since when it waits."""
    await store.workers.register(worker(timeout_s=3600.0))
    await store.workers.register(worker())  # as of the Node package: it names no timeout
    await store.workers.register(worker(timeout_s=-1.0))
    await store.intake.insert(
        [
            simple(scheduled_for=NOW + HOUR),
            simple(name="other", scheduled_for=NOW - 2 * SECOND, priority=7),
            occurrence(scheduled_for=NOW - 3 * SECOND),
        ]
    )
    vitals = await store.workers.vitals()
    assert (vitals.workers, vitals.alive) == (3, 2)
    assert await store.workers.count_alive() == 2
    assert vitals.due_since == NOW - 3 * SECOND
    await store.queue.claim(claim(10, "nightly", "other"))
    assert (await store.workers.vitals()).due_since is None


async def test_counts_of_some_states(store: Store) -> None:
    """Those that are asked for are counted, the others not even looked at."""
    (settled, _) = await run(store, simple(), simple())
    await store.runs.settle([end(settled)])
    await store.intake.insert([simple(), simple(), occurrence()])
    names = await store.history.names(10)
    waiting = {JobStatus.PENDING, JobStatus.PAUSED}
    counted = await store.history.count(names, 10, waiting)
    assert {(each.type, each.name, each.status, each.count) for each in counted} == {
        ("simple", "resize", JobStatus.PENDING, 2),
        ("cron_task", "nightly", JobStatus.PENDING, 1),
    }
    (running,) = await store.history.count(names, 10, [JobStatus.RUNNING])
    assert (running.name, running.count) == ("resize", 1)
