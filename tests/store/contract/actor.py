"""A store in a process of its own, which does what the lines of its standard input say.

Each line is a JSON list: a verb and its arguments. Each is answered by a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.jobs.intake import Rules, insert_or_skip
from job_processor.models import JobStatus
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim, Outcome, Settlement
from tests.samples import simple


class Actor:
    """The verbs; ids go in and out as hex."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._worker_id = ObjectId()
        self._clock = Clock()

    async def setup(self) -> None:
        """Set the store up."""
        await self._store.setup()

    async def insert(self, name: str) -> str:
        """Insert a job that is due."""
        job = simple(name, at=self._clock.now())
        await self._store.intake.insert([job])
        return str(job.id)

    async def schedule_unique(self, name: str, keys: list[str]) -> list[str]:
        """Schedule a job for each key; return whose jobs hold them."""
        ids = []
        for key in keys:
            job = simple(name, at=self._clock.now(), unique_key=key)
            rules: Rules = {job.id: "return"}
            (stored,) = await insert_or_skip(self._store, [job], self._clock, rules)
            ids.append(str(stored.id))
        return ids

    async def claim_all(self, name: str, limit: int) -> list[str]:
        """Claim again and again, as much as `limit` at once, until nothing is left."""
        claimed: list[str] = []
        while await self._store.queue.next_due([name]) is not None:
            claim = Claim(self._worker_id, (name,), limit, self._clock.now())
            claimed += [str(job.id) for job in await self._store.queue.claim(claim)]
        return claimed

    async def run(self, name: str) -> list[str]:
        """Claim a job and finish it."""
        jobs = await self._store.queue.claim(Claim(self._worker_id, (name,), 1, self._clock.now()))
        finished = Outcome(status=JobStatus.FINISHED, at=self._clock.now())
        settlements = [Settlement(job, finished, self._worker_id) for job in jobs]
        return [str(job_id) for job_id in (await self._store.runs.settle(settlements)).won]

    async def request_kill(self, job_id: str, worker_id: str) -> None:
        """Leave a kill request."""
        await self._store.kills.request(ObjectId(job_id), ObjectId(worker_id), self._clock.now())


async def main(db_url: str) -> None:
    """Answer until standard input ends."""
    store = open_store(db_url, Settings())
    actor = Actor(store)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            verb, *arguments = json.loads(line)
            answer: Any = await getattr(actor, verb)(*arguments)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
