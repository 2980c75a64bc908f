"""Does for groups what a process that died has owed them.

Whoever ends the last member of a group ends the group in a write of its own, and makes the job that
follows in another: in between it may die. An older program ends members and knows no groups, and
whoever fills a group may never seal it. So once per `worker_timeout` one of the workers, whoever
wins the write of a setting, walks along the groups that go on, from where the last one stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.settings import GROUP_LEFT
from job_processor.store.groups import GroupRecord
from job_processor.tasks import Trouble
from job_processor.worker.engine import Engine
from job_processor.worker.turns import Turn

GROUPS_AT_ONCE = 1000
"""Groups of one pass."""

_LEFT = "the process that opened it has not been seen for {minutes:g} minutes"


class GroupSweeper:
    """Breaks off what was left open, mends what others settled, and does what is owed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._groups = engine.store.groups
        self._turn = Turn(engine, "groups")

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        trouble = Trouble(self._engine.logger, "sweeping the groups")
        interval = self._engine.settings.worker_timeout
        await asyncio.sleep(interval * random.uniform(0.1, 0.5))
        while True:
            if await trouble.attempt(self.sweep):
                await asyncio.sleep(interval * random.uniform(0.4, 0.6))

    async def sweep(self) -> bool:
        """Walk along some of the groups, unless somebody did so; raises StoreError."""
        if not await self._groups.unfinished(None, 1):
            return False
        now = self._engine.clock.now()
        position = await self._turn.win(now)
        if position is None:
            return False
        behind = ObjectId(position) if ObjectId.is_valid(position) else None
        records = await self._groups.unfinished(behind, GROUPS_AT_ONCE)
        await self.look_after(records, now)
        await self._turn.note(str(records[-1].id) if len(records) == GROUPS_AT_ONCE else "")
        return True

    async def look_after(self, records: Sequence[GroupRecord], now: datetime) -> None:
        """Do what is to be done for these groups."""
        for record in records:
            if record.owes:
                await self._groups.serve(record)
        going_on = [record for record in records if record.completed_at is None]
        left = now - timedelta(seconds=GROUP_LEFT)
        why = _LEFT.format(minutes=GROUP_LEFT / 60)
        for record in going_on:
            if not record.sealed and record.touched_at <= left:
                await self._groups.abandon(record.id, left, why)
        ids = [record.id for record in going_on if record.sealed or record.touched_at <= left]
        while await self._groups.mend(ids):
            pass
        await self._groups.look(ids)
