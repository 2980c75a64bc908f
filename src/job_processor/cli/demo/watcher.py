"""What the demo's database holds, read again and again: all that it shows comes from here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.models import CronTask, Job, JobStatus
from job_processor.processor import JobProcessor
from job_processor.settings import PAGE_LIMIT

_INTERVAL = 0.25  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The jobs of this demo and the workers, as stored at one moment."""

    now: datetime
    jobs: tuple[Job, ...] = ()
    """Newest first."""
    workers: tuple[Mapping[str, Any], ...] = ()
    """As in the healthcheck: each registration with what it runs."""

    def get(self, job_id: ObjectId) -> Job | None:
        """Return the job with this id."""
        return next((job for job in self.jobs if job.id == job_id), None)

    def status(self, job: Job) -> JobStatus | None:
        """Return how a job stands, None when it is not stored."""
        found = self.get(job.id)
        return found.status if found is not None else None

    def simple(self) -> list[Job]:
        """Return the jobs, without the cron tasks."""
        return [job for job in self.jobs if not isinstance(job, CronTask)]

    def counts(self) -> dict[str, Counter[str]]:
        """Return how many jobs of each name are in each status, by name."""
        counts: dict[str, Counter[str]] = {}
        for job in self.jobs:
            counts.setdefault(job.name, Counter())[job.status.value] += 1
        return dict(sorted(counts.items()))

    def last_ended(self, limit: int) -> list[Job]:
        """Return the jobs that ended last."""
        ended = [job for job in self.jobs if job.ended_at is not None]
        return sorted(ended, key=lambda job: job.ended_at or job.created_at, reverse=True)[:limit]

    def pid_of(self, worker_id: ObjectId | None) -> int | None:
        """Return the process id of a registered worker."""
        for group in self.workers:
            if group["worker"]["_id"] == str(worker_id):
                pid: int | None = group["worker"]["pid"]
                return pid
        return None

    def run_by(self, pid: int) -> frozenset[ObjectId]:
        """Return the ids of what a registered worker runs."""
        tasks = [g["tasks"] for g in self.workers if g["worker"]["pid"] == pid]
        return frozenset(ObjectId(each["_id"]) for some in tasks for each in some)


class Watcher:
    """Reads snapshots and tells who waits for one."""

    def __init__(self, processor: JobProcessor, since: datetime) -> None:
        self._processor = processor
        self._since = since
        self._changed = asyncio.Condition()
        self.snapshot = Snapshot(since)
        self.on_snapshot: Callable[[Snapshot], object] = lambda _: None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL)

    async def look(self) -> Snapshot:
        """Read one snapshot."""
        health = await self._processor.get_healthcheck()
        now = datetime.fromisoformat(health["now"])
        self.snapshot = Snapshot(now, tuple(await self._jobs()), tuple(health["workers"]))
        self.on_snapshot(self.snapshot)
        async with self._changed:
            self._changed.notify_all()
        return self.snapshot

    async def until(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """Return the first snapshot for which `condition` holds."""
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self.snapshot))
        return self.snapshot

    async def _jobs(self) -> list[Job]:
        """Return all jobs that were made since this demo began; ids begin with their time."""
        jobs: list[Job] = []
        after = None
        while True:
            page = await self._processor.find_jobs(limit=PAGE_LIMIT, after=after)
            jobs += [job for job in page.jobs if job.created_at >= self._since]
            after = page.next
            if after is None or page.jobs[-1].created_at < self._since:
                return jobs
