"""Counts how the runs of this process end, and adds that to the rollups now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from job_processor.errors import NotSetUpError, StoreRefusedError
from job_processor.handlers.registry import Registry
from job_processor.models import Job
from job_processor.settings import ROLLUP_INTERVAL
from job_processor.store import Store
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Outcome, Settlement
from job_processor.tasks import Trouble
from job_processor.worker.counted import counted
from job_processor.worker.figures import Figures, Minute

_MINUTES_KEPT = 180  # of counts that cannot be written: as many as are kept in the database


class Tally:
    """Counts in memory; each write adds what is new."""

    def __init__(self, store: Store, logger: logging.Logger, registry: Registry) -> None:
        self._store = store
        self._logger = logger
        self._registry = registry
        self._trouble = Trouble(logger, "rollups")
        self._minutes: dict[int, Minute] = {}

    def add(self, ended: Sequence[tuple[Job, Job]]) -> None:
        """Count runs that have just been written: each job as claimed, and as it is then."""
        for before, after in ended:
            self._minute(after.updated_at)[after.name].add(before, after)

    def add_finished(self, ended: Sequence[Settlement]) -> None:
        """Count runs that have finished; this stands in the way of most."""
        minute, last = self._minute(ended[0].outcome.at), self._minute(ended[-1].outcome.at)
        for each in ended:
            if minute is not last:  # they ended around its end
                minute = self._minute(each.outcome.at)
            minute[each.job.name].add_finished(each.job, each.outcome.output)

    def add_together(self, fresh: Fresh, outcome: Outcome) -> None:
        """Count jobs that were claimed together, and have finished together."""
        figures = self._minute(outcome.at)[fresh.name]
        for scheduled_for, count in Counter(fresh.scheduled()).items():
            figures.add_alike(fresh.claimed_at - scheduled_for, outcome.output, count)

    def add_missed(self, name: str, count: int, at: datetime) -> None:
        """Count occurrences of a cron or schedule that nobody started in time, as judged now."""
        if count > 0:
            self._minute(at)[name].add_missed(count)

    def _minute(self, moment: datetime) -> Minute:
        number = int(moment.timestamp()) // 60
        minute = self._minutes.get(number)
        if minute is None:
            minute = self._minutes[number] = defaultdict(Figures)
        return minute

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
            await self._store.rollups.add(*counted(minutes, self._registry))
        except (NotSetUpError, StoreRefusedError) as error:  # it is for charts, and never written
            self._logger.warning("rollups: %s", error)
        except Exception as error:  # noqa: BLE001  # it is logged
            self._trouble.meet(error)
            self._keep(minutes)
        else:
            self._trouble.end()

    def _keep(self, minutes: dict[int, Minute]) -> None:
        """Add what was not written to what is new, the latest hours of it."""
        for number, minute in minutes.items():
            for name, newer in self._minutes.get(number, {}).items():
                minute[name].merge(newer)
            self._minutes[number] = minute
        for number in sorted(self._minutes)[:-_MINUTES_KEPT]:
            del self._minutes[number]
