"""What is done with free jobs of lanes without a key, and the indexes that it may use."""

from __future__ import annotations

from bson import ObjectId

from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.sqlite import SqliteStore
from tests.samples import SOON, WORKER, simple
from tests.store.sqlite.recording import Recorder


async def claim_of_free_jobs(store: SqliteStore) -> None:
    store.lanes.book = LimitBook(lambda: {"a": 9, "b": 9}, lambda: ["sync", "mail"])
    names = ("sync", "mail", "none")
    await store.intake.insert(
        [simple(names[n % 2], lane="ab"[n % 3 % 2], priority=n % 2) for n in range(20)]
    )
    Recorder.statements.clear()
    found = LaneClaim(WORKER, names, 12, SOON, frozenset([ObjectId()]), others=True)
    assert len((await store.lanes.claim(found)).jobs) == 12
    found = LaneClaim(WORKER, names, 30, SOON, others=True)
    assert (await store.lanes.claim(found)).blocked


OF_FREE = {
    "free jobs": (
        claim_of_free_jobs,
        {*(f"job_processor_jobs_{name}" for name in ("due", "line", "slots")), "the row itself"},
    ),
}
