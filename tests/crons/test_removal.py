"""What is removed, a cron or an occurrence of it, does not come back."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import JobStateError, JobStatus, UnknownJobError
from job_processor.models import occurrence_id
from tests.crons.clocks import SetClock, at, scheduler_of, started_engine, tasks
from tests.crons.owners import TICK, left, owner_of, waiting
from tests.insides import store_of
from tests.processors import Processors


async def test_a_pass_that_was_held_up_removes_nothing_that_has_come_due(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile others have planned on, and what they planned waits for a free worker."""
    clock = SetClock()
    slow = await started_engine(processors, clock, crons=TICK)
    quick = await started_engine(processors, clock, crons=TICK)
    await scheduler_of(slow).schedule()
    remove = slow.store.crons.remove_occurrences

    async def held_up(*arguments: Any) -> int:
        monkeypatch.undo()
        for _ in range(3):
            clock.forward(minutes=5)
            await scheduler_of(quick).schedule()
        return await remove(*arguments)

    monkeypatch.setattr(slow.store.crons, "remove_occurrences", held_up)
    await scheduler_of(slow).schedule()
    assert await waiting(quick) == at(5, 10, 15, 20) or await waiting(quick) == at(5, 10, 15)
    await scheduler_of(quick).schedule()
    assert await waiting(quick) == at(5, 10, 15, 20)


async def test_a_cron_is_removed_by_hand(processors: Processors) -> None:
    """At once: what was due is skipped, what is to come goes, what a retry waits for too."""
    clock = SetClock()
    await left(processors, clock, service="old")
    clock.forward(minutes=6)
    boss = await processors.make(clock=clock)
    by_hand = await boss.run_cron("tick")
    await boss.remove_cron("tick")
    assert await boss.get_crons() == []
    store = store_of(boss)
    assert await owner_of(store) is None
    statuses = {job.id: job.status for job in (await boss.find_jobs(name="tick", limit=100)).jobs}
    assert statuses == {
        occurrence_id("tick", at(5)[0]): JobStatus.SKIPPED,
        by_hand.id: JobStatus.SKIPPED,
    }
    new = await started_engine(processors, clock, crons=TICK, service="new")
    await scheduler_of(new).schedule()
    owner = await owner_of(store)
    assert owner is not None
    assert owner.service == "new"
    assert await waiting(new) == at(10)


async def test_a_cron_that_is_listed_is_not_removed(processors: Processors) -> None:
    """Its worker would bring it back: the error names the service and says what to do."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK, service="shop")
    await scheduler_of(engine).schedule()
    boss = await processors.make(clock=clock)
    with pytest.raises(JobStateError, match=r"'tick' is listed by a worker of service 'shop'"):
        await boss.remove_cron("tick")
    assert [cron.name for cron in await boss.get_crons()] == ["tick"]
    with pytest.raises(UnknownJobError, match=r"name: 'tock'.*'tick'"):
        await boss.remove_cron("tock")


@pytest.mark.parametrize("by", ["delete_job", "kill_job", "act_on_jobs"])
async def test_a_standing_occurrence_that_was_taken_away_does_not_come_back(
    processors: Processors, by: str
) -> None:
    """Deleted, or killed and out of the history: it does not run, and the next one does."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    boss = await processors.make(clock=clock)
    (standing,) = await tasks(engine)
    if by == "kill_job":
        await boss.kill_job(standing.id)
        await engine.store.history.delete([standing.id])  # as its history goes, after a while
    elif by == "delete_job":
        await boss.delete_job(standing.id)
    else:
        assert (await boss.act_on_jobs("delete", status="pending")).done == 1
    for minutes in (0, 1, 3):
        clock.forward(minutes=minutes)
        await scheduler.schedule()
        assert await tasks(engine) == []
    clock.forward(minutes=1)
    assert await scheduler.schedule() == at(10)[0]
    assert await waiting(engine) == at(10)


async def test_an_occurrence_that_a_late_pass_puts_back_goes_again(
    processors: Processors,
) -> None:
    """A pass that knew the occurrence from before it was deleted inserts it once more."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    (standing,) = await tasks(engine)
    boss = await processors.make(clock=clock)
    await boss.delete_job(standing.id)
    await engine.store.intake.insert([standing])
    await scheduler.schedule()
    assert await tasks(engine) == []
