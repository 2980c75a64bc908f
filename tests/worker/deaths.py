"""Workers that are dead, and hold what they have claimed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from job_processor import JobProcessor
from job_processor.models import Job
from job_processor.store.requests import Claim
from tests.insides import clock_of, store_of
from tests.processors import QUICK
from tests.samples import worker


async def die_holding(
    processor: JobProcessor,
    names: list[str],
    limit: int = 1000,
    *,
    known: bool = True,
    **fields: Any,
) -> Sequence[Job]:
    """Claim jobs as a worker that registers, never beats again, and is gone."""
    dead = worker(
        hostname="dead",
        last_seen=clock_of(processor).now(),
        names=tuple(names) if known else (),
        **{"timeout_s": QUICK["worker_timeout"], **fields},
    )
    await store_of(processor).workers.register(dead)
    return await claim_as(processor, dead.id, *names, limit=limit)


async def claim_as(
    processor: JobProcessor, worker_id: ObjectId, *names: str, limit: int = 1
) -> Sequence[Job]:
    """Claim jobs under the id of a worker that need not be there.

    Among them as many as there are that crashed before, of which a claim brings one.
    """
    claimed: list[Job] = []
    while len(claimed) < limit:
        claim = Claim(worker_id, names, limit - len(claimed), clock_of(processor).now())
        found = await store_of(processor).queue.claim(claim)
        if not found:
            break
        claimed += found
    return claimed
