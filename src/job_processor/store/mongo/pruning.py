"""Jobs that ended long ago; and those that the Node package has killed and left without an end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Collection


async def end_killed(jobs: Collection, limit: int) -> int:
    """Killed without an end, as the Node package's kill of a waiting job leaves it → ended.

    At most `limit`; returns how many there were.
    """
    endless = {"status": "killed", "ended_at": None}
    cursor = jobs.find(endless, {"_id": 1}, limit=limit).batch_size(limit)
    ids = [document["_id"] for document in await cursor.to_list()]
    if ids:
        await jobs.update_many(
            {**endless, "_id": {"$in": ids}},
            [{"$set": {"ended_at": {"$ifNull": ["$updated_at", "$$NOW"]}}}],
        )
    return len(ids)


async def remove_old(
    jobs: Collection, statuses: Sequence[str], before: datetime, limit: int
) -> tuple[int, list[ObjectId]]:
    """Ended so before a time → absent, at most `limit`; return how many, and who is followed."""
    if limit < 1:
        return 0, []
    old: Document = {"ended_at": {"$lt": before}, "status": {"$in": list(statuses)}}
    told = {"_id": 1, "followed": 1}
    found = await jobs.find(old, told, limit=limit).batch_size(limit).to_list()
    if not found:
        return 0, []
    ids = [document["_id"] for document in found]
    removed = (await jobs.delete_many({**old, "_id": {"$in": ids}})).deleted_count
    return removed, [document["_id"] for document in found if document.get("followed")]
