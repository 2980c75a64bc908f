"""Old jobs: MongoDB removes them by itself after 90 days (TTL), we what should go sooner."""

from __future__ import annotations

from datetime import datetime

from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.mongo.documents import SETTLED_STATUSES
from job_processor.store.mongo.handles import Collection, Handles


class History:
    """Removes settled jobs by their end, and gives an end to those that have none.

    The time to live stays as the Node package makes it, whatever `history_days` says: with another
    one a Node process refuses to start.
    """

    def __init__(self, handles: Handles, history_days: float) -> None:
        self._jobs = handles.jobs
        self._days = history_days
        self.database_days: float = MONGO_MAX_HISTORY_DAYS
        """After how many days the database removes them; set once its index has been read."""

    async def prune(self, before: datetime, limit: int) -> int:
        """Settled before this time → absent, where the database would keep them longer."""
        await end_killed(self._jobs, limit)
        if self._days >= self.database_days or limit < 1:
            return 0
        old = {"ended_at": {"$lt": before}, "status": {"$in": SETTLED_STATUSES}}
        cursor = self._jobs.find(old, {"_id": 1}, limit=limit).batch_size(limit)
        ids = [document["_id"] for document in await cursor.to_list()]
        if not ids:
            return 0
        return (await self._jobs.delete_many({**old, "_id": {"$in": ids}})).deleted_count


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
