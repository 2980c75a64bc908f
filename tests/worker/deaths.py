"""Workers that are dead, and hold what they have claimed."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from job_processor import JobProcessor
from job_processor.models import Job, WorkerInfo
from job_processor.store.requests import Claim
from tests.insides import clock_of, store_of
from tests.processors import QUICK


async def die_holding(
    processor: JobProcessor, names: list[str], *, known: bool = True, **fields: Any
) -> list[Job]:
    """Claim jobs as a worker that registers, never beats again, and is gone."""
    store = store_of(processor)  # what a dead worker left cannot be made through the front door
    info = WorkerInfo(
        id=ObjectId(),
        hostname="dead",
        last_seen=clock_of(processor).now(),
        names=tuple(names) if known else (),
        **{"timeout_s": QUICK["worker_timeout"], **fields},
    )
    await store.workers.register(info)
    claim = Claim(info.id, tuple(names), 1000, clock_of(processor).now())
    return await store.queue.claim(claim)
