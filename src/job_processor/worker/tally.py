"""Counts how the runs of this process end, and adds that to the rollups now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from job_processor.errors import NotSetUpError, StoreRefusedError
from job_processor.models import Job, JobStatus
from job_processor.settings import ROLLUP_INTERVAL
from job_processor.store import Store
from job_processor.store.rollups import DELAYS, NAMES_KEPT, SPANS, Rollup, delay_index, start_of
from job_processor.tasks import Trouble

_ENDS = {
    JobStatus.FINISHED: "finished",
    JobStatus.ERRORED: "errored",
    JobStatus.KILLED: "killed",
    JobStatus.SKIPPED: "skipped",
    JobStatus.PAUSED: "paused",
    JobStatus.PENDING: "retried",
}
_OTHERS = "…"
_MINUTES_KEPT = 180  # of counts that cannot be written: as many as are kept in the database


class _Minute:
    """What was counted since the last write, in one minute."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.delays = [0] * len(DELAYS)

    def add(self, jobs: Sequence[Job]) -> None:
        """Count runs as they were written; most have finished, and this stands in their way."""
        finished, delays = 0, self.delays
        for job in jobs:
            status = job.status
            if status is JobStatus.FINISHED:
                finished += 1
            else:
                self._add_other(job)
            if job.started_at is not None and job.attempt == 1 and status is not JobStatus.PENDING:
                delays[delay_index(job.started_at - job.scheduled_for)] += 1
        self.counts["finished"] += finished

    def merge(self, other: _Minute) -> None:
        """Add what was counted apart, in the same minute."""
        self.counts += other.counts
        self.failures += other.failures
        self.delays = [a + b for a, b in zip(self.delays, other.delays, strict=True)]

    def _add_other(self, job: Job) -> None:
        self.counts[_ENDS[job.status]] += 1
        if job.status is JobStatus.ERRORED or (job.status is JobStatus.PENDING and job.attempts):
            known = job.name in self.failures or len(self.failures) < NAMES_KEPT
            self.failures[job.name if known else _OTHERS] += 1


class Tally:
    """Counts in memory; each write adds what is new."""

    def __init__(self, store: Store, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._trouble = Trouble(logger, "rollups")
        self._minutes: dict[int, _Minute] = {}

    def add(self, jobs: Sequence[Job]) -> None:
        """Count runs that have just been written."""
        if not jobs:
            return
        number = int(jobs[0].updated_at.timestamp()) // 60
        minute = self._minutes.get(number)
        if minute is None:
            minute = self._minutes[number] = _Minute()
        minute.add(jobs)

    async def run(self) -> None:
        """Write now and then, until cancelled."""
        while True:
            await asyncio.sleep(ROLLUP_INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Write what is new, once; what cannot be written is kept for the next time."""
        minutes, self._minutes = self._minutes, {}
        if not minutes:
            return
        try:
            await self._store.rollups.add(_rollups(minutes))
        except (NotSetUpError, StoreRefusedError) as error:  # it is for charts, and never written
            self._logger.warning("rollups: %s", error)
        except Exception as error:  # noqa: BLE001  # it is logged
            self._trouble.meet(error)
            self._keep(minutes)
        else:
            self._trouble.end()

    def _keep(self, minutes: dict[int, _Minute]) -> None:
        """Add what was not written to what is new, the latest hours of it."""
        for number, minute in minutes.items():
            newer = self._minutes.get(number)
            if newer is not None:
                minute.merge(newer)
            self._minutes[number] = minute
        for number in sorted(self._minutes)[:-_MINUTES_KEPT]:
            del self._minutes[number]


def _rollups(minutes: dict[int, _Minute]) -> list[Rollup]:
    """Return the counts of each minute for each span that it is in."""
    sums: dict[tuple[int, object], Rollup] = {}
    for number, minute in minutes.items():
        delays = {index: count for index, count in enumerate(minute.delays) if count}
        for seconds in SPANS:
            start = start_of(datetime.fromtimestamp(number * 60, UTC), seconds)
            rollup = Rollup(seconds, start, +minute.counts, minute.failures, delays)
            key = (seconds, start)
            sums[key] = sums[key].plus(rollup) if key in sums else rollup
    return list(sums.values())
