"""Processors on stores that go wrong, and what was told of their jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from bson import ObjectId

from job_processor import Event, EventKind, Job, JobDef, JobProcessor, JobStatus, SimpleJob
from job_processor.store.requests import Settlement
from tests.faults import Fault, Faulty, failed, faulty, lost
from tests.processors import QUICK, WAIT, Processors, eventually

WHEN: dict[str, Callable[[Callable[[], Exception]], Fault]] = {"before": failed, "after": lost}
"""Whether a call fails before or after it has had its effect."""

FEW = ("unavailable", "unknown to us", "a mistake")
"""One error of each kind, where all of them take too long."""

ENDS = {EventKind.FINISHED, EventKind.ERRORED, EventKind.RETRIED, EventKind.KILLED}


class Diary:
    """What was told of each job: its hook's calls and its ends, as events."""

    def __init__(self) -> None:
        self.hooked: Counter[ObjectId] = Counter()
        self.ends: list[tuple[ObjectId, EventKind]] = []

    async def hook(self, job: Job) -> None:
        """Take a call of `on_job_exited`."""
        self.hooked[job.id] += 1

    def hear(self, event: Event) -> None:
        """Take an event."""
        if event.kind in ENDS and event.job is not None:
            self.ends.append((event.job.id, event.kind))

    def of(self, job: Job) -> list[EventKind]:
        """Return how a job ended, each time."""
        return [kind for job_id, kind in self.ends if job_id == job.id]


async def make(
    processors: Processors, diary: Diary, jobs: dict[str, Any], **options: Any
) -> tuple[JobProcessor, Faulty]:
    """Return a processor that is set up on a store that can go wrong."""
    definitions = {
        name: each if isinstance(each, JobDef) else JobDef(each, on_job_exited=diary.hook)
        for name, each in jobs.items()
    }
    processor = JobProcessor(**{"db": processors.db_url, **QUICK, "jobs": definitions, **options})
    fault = faulty(processor)
    processor.listen(diary.hear)
    await processors.open(processor)
    return processor, fault


async def done(processor: JobProcessor, job: Job) -> SimpleJob:
    """Return a job once it is settled."""
    settled = await processor.wait_for_job(job.id, timeout=WAIT)
    assert isinstance(settled, SimpleJob)
    return settled


async def is_running(processor: JobProcessor, job: Job) -> bool:
    """True while a job runs, or says so."""
    found = await processor.get_job(job.id)
    return found is not None and found.status is JobStatus.RUNNING


async def fine() -> dict[str, Any]:
    """Return a result of some size."""
    return {"rows": ["x" * 100] * 20}


async def wrong() -> None:
    """Fail."""
    raise ConnectionError("try again")


async def eventually_hooked(diary: Diary, *jobs: Job) -> None:
    """Return once the hooks of these jobs were called."""

    async def hooked() -> bool:
        return all(diary.hooked[job.id] for job in jobs)

    await eventually(hooked)


def of(job_ids: set[ObjectId]) -> Callable[[Settlement], bool]:
    """True for the settlements of these jobs that hold a result."""
    return lambda each: (
        each.job.id in job_ids
        and each.outcome.output is not None
        and each.outcome.output.result is not None
    )
