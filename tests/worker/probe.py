"""Handlers whose beginning and end a test decides."""

from __future__ import annotations

import asyncio

from job_processor import (
    AbortSignal,
    JobProcessor,
    SimpleJob,
)
from job_processor.models import Job
from tests.processors import WAIT, eventually


class Probe:
    """Handlers that tell when they begin, and end when they are told."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0
        self.exited: list[Job] = []

    async def held(self, job: SimpleJob) -> str:
        """Run until released; the signal is ignored, a cancellation is not."""
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.set()
        try:
            await self.release.wait()
        finally:
            self.running -= 1
        return "released"

    async def polite(self, job: SimpleJob, signal: AbortSignal) -> str:
        """Run until released or asked to stop; then raise."""
        self.began.set()
        while not self.release.is_set():
            signal.raise_if_aborted()
            await asyncio.sleep(0.01)
        return "released"

    async def exit_hook(self, job: Job) -> None:
        """Keep the job."""
        self.exited.append(job)


async def ended(processor: JobProcessor, job: Job) -> Job:
    """Return a job once it is settled."""
    return await processor.wait_for_job(job.id, timeout=WAIT)


async def in_state(processor: JobProcessor, job: Job, status: str) -> Job:
    """Return a job once it is in a state."""

    async def look() -> Job | None:
        found = await processor.get_job(job.id)
        return found if found is not None and found.status == status else None

    found: Job = await eventually(look, status)
    return found
