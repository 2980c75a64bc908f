"""A clock that differs from the database's is named: in the log, once, and by `check`."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from job_processor import JobDef
from job_processor.clock import Clock
from job_processor.store import Store
from job_processor.worker.clock_watch import ClockWatch
from job_processor.worker.heartbeat import Beats
from job_processor.worker.stopwatch import Moment
from tests.insides import engine_of
from tests.processors import Processors, eventually

LOGGER = logging.getLogger("tests.clocks")


class SetClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Return the time that it shows."""
        return super().now() + self.ahead


class Told:
    """A database whose time a test tells."""

    async def ping(self) -> datetime:
        """Return the right time."""
        return Clock().now()


async def test_a_difference_is_told_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Again when it has changed by more than a second; a small one is none."""
    caplog.set_level(logging.INFO)
    clock, store = SetClock(), Told()
    watch = ClockWatch(store, clock, LOGGER)  # type: ignore[arg-type]  # all that it asks
    for seconds, told, ahead in (
        (0.5, "", None),
        (600, "600.0 s ahead of the database's: its jobs start that much too early", 600),
        (600.4, "", 600),
        (-30, "30.0 s behind the database's: its jobs start that much too late", -30),
        (0, "agree again", None),
        (0, "", None),
    ):
        caplog.clear()
        clock.ahead = timedelta(seconds=seconds)
        await watch.look()
        assert len(caplog.messages) == (1 if told else 0)
        assert told in caplog.text
        assert watch.ahead == (None if ahead is None else pytest.approx(ahead, abs=0.5))


def test_a_slow_answer_is_no_difference(caplog: pytest.LogCaptureFixture) -> None:
    """The database's time is from some moment between the question and the answer."""
    clock = SetClock()
    store: Store = Told()  # type: ignore[assignment]  # it is not asked
    watch = ClockWatch(store, clock, LOGGER)
    now = clock.now()
    for theirs in (0.0, -20.0, -40.0):
        watch.compare(now - timedelta(seconds=40), now + timedelta(seconds=theirs))
    assert watch.ahead is None
    watch.compare(now - timedelta(seconds=40), now - timedelta(seconds=45))
    assert watch.ahead == pytest.approx(5, abs=0.5)


def test_a_step_of_the_machines_own_clock_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """By how much, and which way; a machine that slept has set its clock as it should."""
    beats = Beats(10.0, 60.0, LOGGER)
    began = Moment(100.0, 1000.0, 1e9)
    beats.confirm(began)
    beats.confirm(Moment(110.0, 1010.0, 1e9 + 10.2))
    beats.confirm(Moment(120.0, 1620.0, 1e9 + 620.2))
    assert caplog.messages == []
    beats.confirm(Moment(130.0, 1630.0, 1e9 + 4230.2))
    assert "this machine's clock was set forward by 3600.0 s" in caplog.text
    beats.confirm(Moment(140.0, 1640.0, 1e9 + 4140.2))
    assert "this machine's clock was set back by 100.0 s" in caplog.text


async def test_check_names_the_worker_with_the_wrong_clock(processors: Processors) -> None:
    """From any other machine, by what the worker has found out itself."""

    async def handler() -> None: ...

    clock = SetClock()
    clock.ahead = timedelta(minutes=10)
    wrong, _ = await processors.start(jobs={"a": JobDef(handler)}, clock=clock)
    other = await processors.make(jobs={"a": JobDef(handler)})
    engine = engine_of(wrong)
    assert engine.clock_watch.ahead == pytest.approx(600, abs=5)
    if processors.db_url.startswith("sqlite"):
        return  # there the clock of each process is the database's, and its heartbeats show it

    async def named() -> bool:
        texts = [each.text for each in await other.check() if each.subject == "clock"]
        return any(f"worker {engine.worker_id}" in text and "600" in text for text in texts)

    await eventually(named)
    clock.ahead = timedelta()

    async def right_again() -> bool:
        return not await named()

    await eventually(right_again)
