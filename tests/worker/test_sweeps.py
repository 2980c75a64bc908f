"""The sweep of many lanes: bounded a pass, and none is left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, Limit
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from job_processor.worker import sweeper
from job_processor.worker.limits import LimitWatch
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.sweeper import Sweeper
from tests.faults import Faulty, faulty
from tests.insides import engine_of
from tests.processors import Processors
from tests.samples import NOW, simple

QUICK: dict[str, Any] = {"heartbeat_interval": 0.005, "worker_timeout": 0.01}


async def nothing(key: int) -> None:
    """Do nothing."""


async def made(processors: Processors, lanes: int) -> tuple[JobProcessor, Faulty]:
    """Return a processor, and in its store so many lanes in each of which a slot is owed."""
    definition = JobDef(nothing, limit=Limit(1, key="key"))
    processor = await processors.make(jobs={"sync": definition}, **QUICK)
    fault = faulty(processor)
    jobs = [
        simple("sync", at=NOW, lane=f"sync:{n % lanes:05}", parked="slot", payload={"key": 1})
        for n in range(2 * lanes)
    ]
    await fault.behind.intake.insert(jobs)
    return processor, fault


async def swept(processor: JobProcessor, store: Store, passes: int) -> None:
    """Sweep so many times."""
    engine = engine_of(processor)
    sweeping = Sweeper(engine, PauseWatch(engine), LimitWatch(engine))
    store.lanes.book.names = lambda: ["sync"]
    done = 0
    while done < passes:
        done += await sweeping.sweep()  # False: the last one was a moment ago


async def admitted(store: Store, lanes: int) -> int:
    """Return in how many of the lanes a job has a slot."""
    return len(await store.lanes.holding([job.id for job in await waiting(store, lanes)]))


async def waiting(store: Store, lanes: int) -> list[Any]:
    """Return what waits."""
    found: list[Any] = []
    for n in range(lanes):
        found += await store.history.find(JobQuery(lane=f"sync:{n:05}"))
    return found


async def test_a_pass_is_bounded_and_the_next_goes_on(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass asks as much for so many lanes, and after all passes each lane has its slot."""
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 8)
    monkeypatch.setattr(sweeper, "_PART", 4)
    processor, fault = await made(processors, 20)
    each: list[Counter[str]] = []
    for number in range(1, 4):
        fault.calls.clear()
        await swept(processor, fault.behind, 1)
        each.append(Counter({verb: n for verb, n in fault.calls.items() if "lanes." in verb}))
        assert await admitted(fault.behind, 20) == min(8 * number, 20)
    assert each[0]["lanes.hand_over"] == 2
    assert each[2]["lanes.hand_over"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_ten_thousand_lanes_are_swept_in_ten_passes(processors: Processors) -> None:
    """Of 10,000 lanes of one slot each, all have given theirs after ten passes."""
    processor, fault = await made(processors, 10_000)
    await swept(processor, fault.behind, 10)
    assert await admitted(fault.behind, 10_000) == 10_000
