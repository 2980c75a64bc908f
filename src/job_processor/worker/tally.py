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
        """Count runs as they were written."""
        for job in jobs:
            self.counts[_ENDS[job.status]] += 1
            if job.status is JobStatus.ERRORED or (
                job.status is JobStatus.PENDING and job.attempts
            ):
                known = job.name in self.failures or len(self.failures) < NAMES_KEPT
                self.failures[job.name if known else _OTHERS] += 1
        self._add_delays([job for job in jobs if job.status is not JobStatus.PENDING])

    def add_finished(self, jobs: Sequence[Job]) -> None:
        """Count jobs that have finished, as they were claimed; this stands in the way of most."""
        self.counts["finished"] += len(jobs)
        self._add_delays(jobs)

    def _add_delays(self, jobs: Sequence[Job]) -> None:
        delays = self.delays
        for job in jobs:
            if job.started_at is not None and job.attempt == 1:
                delays[delay_index(job.started_at - job.scheduled_for)] += 1

    def merge(self, other: _Minute) -> None:
        """Add what was counted apart, in the same minute."""
        self.counts += other.counts
        self.failures += other.failures
        self.delays = [a + b for a, b in zip(self.delays, other.delays, strict=True)]


class Tally:
    """Counts in memory; each write adds what is new."""

    def __init__(self, store: Store, logger: logging.Logger) -> None:
        self._store = store
        self._logger = logger
        self._trouble = Trouble(logger, "rollups")
        self._minutes: dict[int, _Minute] = {}

    def add(self, jobs: Sequence[Job]) -> None:
        """Count runs that have just been written."""
        if jobs:
            self._minute(jobs[0].updated_at).add(jobs)

    def add_finished(self, jobs: Sequence[Job], at: datetime) -> None:
        """Count jobs that have finished, the first of them at `at`, as they were claimed."""
        self._minute(at).add_finished(jobs)

    def _minute(self, moment: datetime) -> _Minute:
        number = int(moment.timestamp()) // 60
        if number not in self._minutes:
            self._minutes[number] = _Minute()
        return self._minutes[number]

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
