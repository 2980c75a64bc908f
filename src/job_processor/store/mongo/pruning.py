"""Killed jobs that have no end, since the Node package leaves them so."""

from __future__ import annotations

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
