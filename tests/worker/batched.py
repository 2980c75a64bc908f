"""Handlers of batches whose beginning and end a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from job_processor import AbortSignal, Context, JobDef, JobProcessor, SimpleJob
from job_processor.models import Job
from tests.processors import WAIT


class Batched:
    """A handler that notes what it got, waits where it is told to, and answers as it is told."""

    def __init__(self, answer: Callable[[Sequence[SimpleJob]], Any] | None = None) -> None:
        self.calls: list[list[int]] = []
        """The numbers of the jobs of each call."""
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.holds = False
        """True: it goes on once it is released."""
        self.cancelled = False
        self.contexts: Sequence[Context] = ()
        self.signal: AbortSignal | None = None
        self.exited: list[Job] = []
        self.packed = False
        """True: its handler takes payloads alone."""
        self.told: Any = None
        """What that one returns."""
        self._answer = answer

    async def handle(
        self,
        payloads: list[dict[str, int]],
        jobs: list[SimpleJob],
        contexts: list[Context],
        signal: AbortSignal,
    ) -> Any:
        """Note, wait, answer."""
        self.contexts = contexts
        assert [each.job.id for each in contexts] == [job.id for job in jobs]
        await self.handle_packed(payloads, signal)
        if self._answer is not None:
            return self._answer(jobs)
        return [10 * payload["n"] for payload in payloads]

    async def handle_packed(self, payloads: list[dict[str, int]], signal: AbortSignal) -> Any:
        """Note, wait, answer what is no answer of single jobs: no run has to be made for any."""
        self.calls.append([payload["n"] for payload in payloads])
        self.signal = signal
        self.began.set()
        if self.holds:
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return self.told

    async def exit(self, job: Job) -> None:
        """Keep the job."""
        self.exited.append(job)

    def jobs(self, batch: int = 3, **options: Any) -> dict[str, JobDef]:
        """Return the definition."""
        handler = self.handle_packed if self.packed else self.handle
        options = {"on_job_exited": self.exit, **options}
        definition = JobDef(handler, batch=batch, **options)
        return {"send": definition}

    async def begins(self) -> None:
        """Return once it was called."""
        await asyncio.wait_for(self.began.wait(), WAIT)


async def put(processor: JobProcessor, *numbers: int) -> list[SimpleJob]:
    """Schedule a job for each number, in one write."""
    return await processor.schedule_jobs([("send", {"n": n}) for n in numbers])


async def all_ended(processor: JobProcessor, jobs: Sequence[SimpleJob]) -> list[Job]:
    """Return jobs once each is settled."""
    return [await processor.wait_for_job(job.id, timeout=WAIT) for job in jobs]


def statuses(jobs: Sequence[Job]) -> list[str]:
    """Return their states."""
    return [job.status.value for job in jobs]
