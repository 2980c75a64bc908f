"""Connections of heartbeats that are cut, and runs that are taken away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from bson import ObjectId

from job_processor import JobProcessor, JobStatus
from job_processor.errors import StoreUnavailableError
from job_processor.models import Job
from job_processor.store.base import Pulse
from job_processor.store.requests import Outcome, Settlement
from tests.insides import clock_of, engine_of, store_of
from tests.processors import eventually

PAUSED = Outcome(JobStatus.PAUSED, at=None, crashes=1)  # type: ignore[arg-type]  # set below


class Line:
    """The connections of a worker's heartbeats, which a test cuts: its own, the main one."""

    def __init__(self, processor: JobProcessor) -> None:
        self.own_is_cut = False
        self.main_is_cut = False
        self.beats: Counter[str] = Counter()
        store = store_of(processor)  # what is cut has no public face
        open_pulse, beat = store.open_pulse, store.workers.beat
        line = self

        class CutPulse(Pulse):
            def __init__(self, patience: float | None) -> None:
                self._pulse = open_pulse(patience)

            def beat(self, *arguments: Any) -> bool:
                line._pass("own", cut=line.own_is_cut)
                return self._pulse.beat(*arguments)

            def close(self) -> None:
                self._pulse.close()

        async def cut_beat(*arguments: Any) -> bool:
            line._pass("main", cut=line.main_is_cut)
            return await beat(*arguments)

        store.open_pulse = CutPulse  # type: ignore[method-assign, assignment]
        store.workers.beat = cut_beat  # type: ignore[method-assign, assignment]

    def _pass(self, which: str, *, cut: bool) -> None:
        if cut:
            raise StoreUnavailableError(f"the {which} connection is cut")
        self.beats[which] += 1


async def until_not_held(processor: JobProcessor) -> None:
    """Return once the lease is too old for a claim."""

    async def too_old() -> bool:
        return not engine_of(processor).lease.is_held

    await eventually(too_old, "a lease that is too old")


async def take_away(processor: JobProcessor, run: Job) -> None:
    """Pause a run as a rescuer does that believes its worker dead."""
    outcome = replace(PAUSED, at=clock_of(processor).now())
    verdict = await store_of(processor).runs.settle([Settlement(run, outcome, ObjectId())])
    assert verdict.won == {run.id}
