"""Jobs that ended long ago, removed a part at a time; and what goes with a job that is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.store.sqlite.connections import Plumbing, SqliteDesk, transaction
from job_processor.store.sqlite.labels import forget_labels_statement

PRUNE_BATCH = 200
"""Jobs that one transaction removes: it keeps other writers waiting for a few milliseconds."""


class OldJobs(SqliteDesk):
    """Removes jobs by when they ended."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs = tables.jobs
        self._remove_waits = f"DELETE FROM {tables.waits} INDEXED BY {tables.waits_of} WHERE job=?"
        self._remove_labels = forget_labels_statement(tables)
        self._remove_old = f"""
            DELETE FROM {jobs} WHERE rowid IN (
                SELECT rowid FROM {jobs} INDEXED BY {tables.ended}
                WHERE ended_at<?1 AND (?3 IS NULL OR ?3=(status='errored'))
                ORDER BY ended_at LIMIT ?2
            ) RETURNING id, followed, instr(extra, '"after"'), labels"""

    async def remove(
        self, before: datetime, limit: int, *, errored: bool | None = None
    ) -> tuple[int, list[ObjectId]]:
        """Settled before a time → absent, in small transactions; return how many.

        And those of them that are followed. errored: those that errored, all others, or both.
        """
        removed, followed = 0, list[ObjectId]()
        while removed < limit:
            wanted = min(PRUNE_BATCH, limit - removed)
            batch, of_batch = await self._remove(before, wanted, errored)
            removed += batch
            followed += of_batch
            if batch < wanted:
                break
        return removed, followed

    def forget(
        self, connection: sqlite3.Connection, rows: Sequence[tuple[bytes, Any, Any, Any]]
    ) -> None:
        """Forget what jobs that are gone came after, and their labels."""
        waits = [(id,) for id, _, has_parents, _ in rows if has_parents]
        if waits:
            connection.executemany(self._remove_waits, waits)
        labelled = [(id,) for id, _, _, labels in rows if labels]
        if labelled:
            connection.executemany(self._remove_labels, labelled)

    @transaction
    def _remove(
        self, connection: sqlite3.Connection, before: datetime, limit: int, errored: bool | None
    ) -> tuple[int, list[ObjectId]]:
        """Remove what was settled before a time, the oldest first; tell who is followed."""
        rows = connection.execute(self._remove_old, (to_ms(before), limit, errored)).fetchall()
        self.forget(connection, rows)
        return len(rows), [ObjectId(id) for id, followed, *_ in rows if followed]
