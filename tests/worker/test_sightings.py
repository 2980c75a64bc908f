"""Who is dead: whoever has shown the same for its timeout of our own time, whatever clocks say."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from job_processor import JobDef, JobStatus
from job_processor.clock import Clock
from job_processor.models import Registrations, WorkerInfo
from job_processor.settings import NODE_WORKER_TIMEOUT
from job_processor.worker.engine import Engine
from job_processor.worker.rescuer import Rescuer
from job_processor.worker.sightings import Sightings
from tests.insides import engine_of
from tests.processors import QUICK, Processors, eventually
from tests.worker.deaths import die_holding
from tests.worker.probe import Probe, ended, in_state

NOW = Clock().now()
STEPS = [
    timedelta(seconds=1),
    timedelta(seconds=2 * QUICK["worker_timeout"]),
    timedelta(minutes=10),
    timedelta(days=3650),
]


class Time:
    """The monotonic clock of one process, which a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def pass_(self, seconds: float) -> float:
        """Move on; return when it is then."""
        self.now += seconds
        return self.now


@pytest.fixture
def time_(monkeypatch: pytest.MonkeyPatch) -> Time:
    """A clock that stands until it is moved."""
    return Time(monkeypatch)


def info(seen: float, timeout_s: float | None = 60.0, **fields: Any) -> WorkerInfo:
    """Return a registration that was seen at so many seconds of the database's clock."""
    values = {"id": ObjectId(b"worker_____1"), "hostname": "host", **fields}
    return WorkerInfo(last_seen=NOW + timedelta(seconds=seen), timeout_s=timeout_s, **values)


def test_dead_is_who_shows_the_same_for_its_timeout(time_: Time) -> None:
    """Not a moment sooner, and counted from our first look at what it shows."""
    watch = Sightings(10.0)
    watch.look([info(0)], [])
    assert watch.silent(time_.pass_(59.9), 0.0) == set()
    watch.look([info(0)], [])
    assert watch.silent(time_.pass_(0.2), 0.0) == {info(0).id}
    watch.look([info(1)], [])
    assert watch.silent(time_.pass_(59.9), 0.0) == set()


@given(
    steps=st.lists(st.integers(-(10**11), 10**11).filter(bool), min_size=1, max_size=20),
    gaps=st.lists(st.floats(0.01, 59.0), min_size=20, max_size=20),
)
def test_no_step_of_a_clock_makes_a_beating_worker_dead(
    steps: list[int], gaps: list[float]
) -> None:
    """Whatever times its heartbeats get, in milliseconds, as long as each is another one."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        time_ = Time(monkeypatch)
        watch, seen = Sightings(10.0), 0
        for step, gap in zip(steps, gaps, strict=False):
            seen += step
            watch.look([info(seen / 1000)], [])
            asked = time_.pass_(gap)
            assert watch.silent(asked, 0.0) == set()


def test_time_counts_only_while_our_own_heartbeats_are_confirmed(time_: Time) -> None:
    """After an outage nobody's heartbeat is fresh: all are watched anew from its end."""
    watch = Sightings(10.0)
    watch.look([info(0)], [])
    asked = time_.pass_(300)
    assert watch.silent(asked, None) == set()
    assert watch.silent(asked, asked - 59) == set()
    assert watch.silent(asked, asked - 60) == {info(0).id}


def test_who_is_missing_has_the_timeout_that_it_told(time_: Time) -> None:
    """As far as we have ever seen it; else ours. Missing is another thing than being silent."""
    watch, stranger = Sightings(10.0), ObjectId()
    watch.look([info(0)], [stranger])
    time_.pass_(55)
    watch.look([], [info(0).id, stranger])
    assert watch.silent(time_.pass_(9), 0.0) == {stranger}
    assert watch.silent(time_.pass_(50.9), 0.0) == {stranger}
    assert watch.silent(time_.pass_(0.2), 0.0) == {stranger, info(0).id}
    watch.look([], [stranger])
    watch.look([], [info(0).id, stranger])  # forgotten meanwhile: nothing ran under its id
    assert watch.silent(time_.pass_(9), 0.0) == {stranger}


def test_a_node_worker_has_its_own_timeout(time_: Time) -> None:
    """300 seconds, registered and missing."""
    watch = Sightings(10.0)
    watch.look([info(0, timeout_s=None)], [])
    assert watch.silent(time_.pass_(NODE_WORKER_TIMEOUT - 1), 0.0) == set()
    watch.look([], [info(0).id])
    assert watch.silent(time_.pass_(NODE_WORKER_TIMEOUT - 1), 0.0) == set()
    assert watch.silent(time_.pass_(2), 0.0) == {info(0).id}


def test_what_seems_dead_is_as_wrong_in_the_future_as_in_the_past() -> None:
    """For whoever only shows it: a heartbeat that is far from now is none, on either side."""
    for seen, dead in ((-61, True), (-59, False), (59, False), (61, True)):
        assert info(seen).is_dead(NOW) is dead


def shifted(engine: Engine, by: timedelta) -> None:
    """Let the database's clock be another one from now on, as `registrations` tells it."""
    store = engine.store
    registrations = store.workers.registrations

    async def later() -> Registrations:
        read = await registrations()
        return Registrations(read.now + by, read.workers)

    store.workers.registrations = later  # type: ignore[method-assign]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_step_of_the_databases_clock_kills_nobody_and_keeps_nobody_alive(
    processors: Processors,
    probe: Probe,
    caplog: pytest.LogCaptureFixture,
    step: timedelta,
    sign: int,
) -> None:
    """A living worker goes on, the dead one's run is taken up, and the wrong clock is named."""
    caplog.set_level(logging.INFO)
    jobs = {"a": JobDef(probe.held), "b": JobDef(probe.held, resumable=True)}
    living, _ = await processors.start(jobs={"a": jobs["a"]})
    mine = await living.schedule_job("a")
    await in_state(living, mine, "running")
    watcher = await processors.make(jobs=jobs)
    left = await watcher.schedule_job("b")
    assert len(await die_holding(watcher, ["b"])) == 1
    engine = engine_of(watcher)
    await processors.worker(watcher)
    shifted(engine, sign * step)

    async def resumed() -> bool:
        found = await watcher.get_job(left.id)
        return found is not None and found.crashes == 1

    await eventually(resumed, "the rescue")
    still = await in_state(living, mine, "running")
    assert still.crashes == 0
    probe.release.set()
    assert (await ended(living, mine)).status is JobStatus.FINISHED
    assert (await ended(watcher, left)).status is JobStatus.FINISHED
    named = "this process's clock is" in caplog.text
    assert named is (step > timedelta(seconds=1))


async def test_a_worker_seen_in_the_future_is_named_once(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Where each process has the clock of its machine: one that is ahead, not dead for it."""

    async def handler() -> None: ...

    processor = await processors.make(jobs={"a": JobDef(handler)})
    engine = engine_of(processor)
    async with engine:
        watching = Rescuer(engine)
        await die_holding(processor, [], pid=4711)
        store = engine.store
        registrations = store.workers.registrations

        async def ahead() -> Registrations:
            read = await registrations()
            workers = [
                each if each.id == engine.worker_id else _seen_in_an_hour(each)
                for each in read.workers
            ]
            return Registrations(read.now, tuple(workers))

        store.workers.registrations = ahead  # type: ignore[method-assign]
        for _ in range(3):
            assert await watching.rescue() == 0
    named = [each for each in caplog.messages if "in the future" in each]
    assert len(named) == 1
    assert "process 4711 on dead" in named[0]


def _seen_in_an_hour(worker: WorkerInfo) -> WorkerInfo:
    return replace(worker, last_seen=worker.last_seen + timedelta(hours=1))
