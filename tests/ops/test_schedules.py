"""What `check` says of schedules: late ones, and those that have a problem."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from job_processor import JobDef
from tests.crons.clocks import SetClock
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW

LONG_AGO = SetClock(NOW - timedelta(hours=1))


async def test_nothing_is_said_without_any(processors: Processors) -> None:
    """A database without schedules has no line about them."""
    processor = await processors.make(jobs={"digest": JobDef(nothing)})
    assert not [each for each in await processor.check() if "schedule" in each.subject]


async def test_schedules_that_are_well_are_counted(processors: Processors) -> None:
    """In one line."""
    processor = await processors.make(jobs={"digest": JobDef(nothing)})
    await processor.put_schedule("a", job="digest", every=3600)
    await processor.put_schedule("b", job="digest", every=3600)
    (found,) = [each for each in await processor.check() if "schedule" in each.subject]
    assert (found.level, found.text) == ("ok", "2")


async def test_those_that_nobody_makes_are_told(processors: Processors) -> None:
    """With the job that no running worker defines."""
    processor = await processors.make(clock=LONG_AGO, jobs={"digest": JobDef(nothing)})
    await processor.put_schedule("a", job="digest", every=60)
    (found,) = [each for each in await processor.check() if "schedule" in each.subject]
    assert (found.subject, found.level) == ("schedules of 'digest'", "warning")
    assert "no running worker defines 'digest'" in found.text


async def test_a_problem_is_told(processors: Processors) -> None:
    """As the schedule keeps it."""
    processor = await processors.make(jobs={"digest": JobDef(nothing)})
    made = await processor.put_schedule("a", job="digest", every=3600)
    desk = store_of(processor).schedules
    (present,) = await desk.page("", 1)
    assert await desk.put(replace(made, problem="it is so"), present.token)
    (found,) = [each for each in await processor.check() if "schedule" in each.subject]
    assert (found.subject, found.text) == ("schedule 'a'", "it is so")
    assert "schedules show a" in found.advice
