"""Groups in SQLite: whether one has ended is asked and written in one transaction."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.models import JobStatus
from job_processor.store.desks.groups import Groups
from job_processor.store.groups import GroupRecord, callback_of, plain_callback
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    page,
    transaction,
    verb,
)
from job_processor.store.sqlite.reading import decoded
from job_processor.store.sqlite.rows import Row, optional_ms, optional_time
from job_processor.store.sqlite.tables import ACTIVE, IS_OPEN, IS_UNFINISHED, OF_GROUP, SETTLED

MENDED_AT_ONCE = 1000
"""Members of one group that one statement mends."""

_COLUMNS = "id,created_at,touched_at,sealed,broken,callbacks,round,completed_at,failed,unfinished"


class SqliteGroups(SqliteDesk, Groups):
    """Keeps groups in a table of their own, and asks the indexes of their members."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs, groups = tables.jobs, tables.groups
        by_open = f"{jobs} INDEXED BY {tables.open_members}"
        marks = ",".join("?" * len(_COLUMNS.split(",")))
        self._put = f"INSERT INTO {groups} ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        self._read = f"SELECT {_COLUMNS} FROM {groups} WHERE id=?"
        self._by_id = f"SELECT {_COLUMNS} FROM {groups} WHERE id<? ORDER BY id DESC LIMIT ?"
        self._going_on = f"""
            SELECT {_COLUMNS} FROM {groups} INDEXED BY {tables.unfinished}
            WHERE {IS_UNFINISHED} AND id>? ORDER BY id LIMIT ?"""
        self._touch = f"UPDATE {groups} SET touched_at=? WHERE id=? AND sealed=0"
        self._seal_one = f"UPDATE {groups} SET sealed=1, broken=? WHERE id=? AND sealed=0"
        self._abandon = f"""
            UPDATE {groups} SET sealed=1, broken=? WHERE id=? AND sealed=0 AND touched_at<=?"""
        self._break = f"""
            UPDATE {groups} SET sealed=1, broken=? WHERE id=? AND completed_at IS NULL"""
        self._reopen = f"""
            UPDATE {groups} SET sealed=0, broken=NULL, touched_at=?1, unfinished=1,
                round=CASE WHEN completed_at IS NULL THEN round ELSE round+1 END,
                completed_at=NULL, failed=NULL
            WHERE id=?2 AND sealed=1 AND (completed_at IS NULL OR unfinished=0)
            RETURNING {_COLUMNS}"""
        self._any_open = f"SELECT 1 FROM {by_open} WHERE open_in=? AND {IS_OPEN} LIMIT 1"
        self._end = f"""
            UPDATE {groups} SET completed_at=?1, failed=broken IS NOT NULL OR EXISTS (
                SELECT 1 FROM {jobs} INDEXED BY {tables.failed_members} WHERE failed_in=?2)
            WHERE id=?2 AND sealed=1 AND completed_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM {by_open} WHERE open_in=?2)
            RETURNING {_COLUMNS}"""
        self._serve = f"""
            UPDATE {groups} SET unfinished=0
            WHERE id=? AND round=? AND completed_at IS NOT NULL"""
        self._mend_some = f"""
            UPDATE {jobs} SET open_in=NULL,
                failed_in=CASE WHEN status='finished' THEN NULL ELSE group_id END
            WHERE rowid IN (
                SELECT rowid FROM {by_open} WHERE open_in=?1 AND {SETTLED}
                LIMIT {MENDED_AT_ONCE})
            AND NOT EXISTS (SELECT 1 FROM {by_open} WHERE open_in=?1 AND {ACTIVE})"""
        self._count = f"""
            SELECT name, status, count(*) FROM {jobs} INDEXED BY {tables.members}
            WHERE group_id=? AND {OF_GROUP} GROUP BY name, status"""
        self._drop = f"""
            DELETE FROM {groups} WHERE rowid IN (
                SELECT rowid FROM {groups} INDEXED BY {tables.ended_groups}
                WHERE completed_at<? AND completed_at IS NOT NULL AND unfinished=0)"""

    @verb
    @call
    def open(self, connection: sqlite3.Connection, record: GroupRecord) -> None:
        """Store a group; one that is there stays."""
        connection.execute(self._put, _row(record))

    @call
    def _get_many(
        self, connection: sqlite3.Connection, group_ids: Collection[ObjectId]
    ) -> list[GroupRecord]:
        rows = (connection.execute(self._read, (id.binary,)).fetchone() for id in group_ids)
        return [_record(row) for row in rows if row is not None]

    @page
    def _newest(
        self, connection: sqlite3.Connection, after: ObjectId | None, limit: int
    ) -> list[GroupRecord]:
        below = b"\xff" * 13 if after is None else after.binary
        return [_record(row) for row in connection.execute(self._by_id, (below, limit))]

    @call
    def _unfinished(
        self, connection: sqlite3.Connection, after: ObjectId | None, limit: int
    ) -> list[GroupRecord]:
        above = b"" if after is None else after.binary
        return [_record(row) for row in connection.execute(self._going_on, (above, limit))]

    @verb
    @call
    def touch(self, connection: sqlite3.Connection, group_id: ObjectId, now: datetime) -> bool:
        """Note that whoever opened a group is still there; False when it is sealed."""
        values = to_ms(now), group_id.binary
        return connection.execute(self._touch, values).rowcount == 1

    @call
    def _seal(self, connection: sqlite3.Connection, group_id: ObjectId, broken: str | None) -> bool:
        return connection.execute(self._seal_one, (broken, group_id.binary)).rowcount == 1

    @verb
    @call
    def abandon(
        self,
        connection: sqlite3.Connection,
        group_id: ObjectId,
        untouched_since: datetime,
        why: str,
    ) -> bool:
        """Seal a group that nobody fills any more."""
        values = why, group_id.binary, to_ms(untouched_since)
        return connection.execute(self._abandon, values).rowcount == 1

    @verb
    @call
    def break_off(self, connection: sqlite3.Connection, group_id: ObjectId, why: str) -> bool:
        """Seal a group that is not to end well."""
        return connection.execute(self._break, (why, group_id.binary)).rowcount == 1

    @verb
    @transaction
    def reopen(
        self, connection: sqlite3.Connection, group_id: ObjectId, now: datetime
    ) -> GroupRecord | None:
        """Open a group once more; None while it owes anything, or is open."""
        rows = connection.execute(self._reopen, (to_ms(now), group_id.binary)).fetchall()
        return _record(rows[0]) if rows else None

    @call
    def _open_of(
        self, connection: sqlite3.Connection, group_ids: Collection[ObjectId]
    ) -> set[ObjectId]:
        return {
            group_id
            for group_id in group_ids
            if connection.execute(self._any_open, (group_id.binary,)).fetchone() is not None
        }

    @transaction
    def _complete(
        self, connection: sqlite3.Connection, group_id: ObjectId, now: datetime
    ) -> GroupRecord | None:
        rows = connection.execute(self._end, (to_ms(now), group_id.binary)).fetchall()
        if not rows:
            return None
        self._revision.bump(connection)
        return _record(rows[0])

    @verb
    @call
    def note_served(self, connection: sqlite3.Connection, group_id: ObjectId, round: int) -> None:
        """Note that a group owes nothing, where this is its round."""
        connection.execute(self._serve, (group_id.binary, round))

    @transaction
    def _mend(self, connection: sqlite3.Connection, group_ids: Collection[ObjectId]) -> int:
        rows = [(group_id.binary,) for group_id in group_ids]
        return connection.executemany(self._mend_some, rows).rowcount

    @verb
    @page
    def counts(
        self, connection: sqlite3.Connection, group_id: ObjectId
    ) -> dict[str, dict[JobStatus, int]]:
        """Count the members by name and state."""
        counts: defaultdict[str, dict[JobStatus, int]] = defaultdict(dict)
        for name, status, count in connection.execute(self._count, (group_id.binary,)):
            counts[name][JobStatus(status)] = count
        return dict(counts)

    async def prune(self, before: datetime) -> None:
        """Remove groups that ended before a time."""
        await self._prune(before)

    @call
    def _prune(self, connection: sqlite3.Connection, before: datetime) -> None:
        connection.execute(self._drop, (to_ms(before),))


def _row(record: GroupRecord) -> Row:
    callbacks = {
        "then": plain_callback(record.then),
        "catch": plain_callback(record.catch),
    }
    return (
        record.id.binary,
        to_ms(record.created_at),
        to_ms(record.touched_at),
        record.sealed,
        record.broken,
        encode({name: value for name, value in callbacks.items() if value is not None}),
        record.round,
        optional_ms(record.completed_at),
        record.failed,
        record.unfinished,
    )


def _record(row: Row) -> GroupRecord:
    group_id, created, touched, sealed, broken, callbacks, round, completed, failed, left = row
    plain = decoded(callbacks)
    plain = plain if isinstance(plain, dict) else {}
    return GroupRecord(
        id=ObjectId(group_id),
        created_at=optional_time(created) or ObjectId(group_id).generation_time,
        touched_at=optional_time(touched) or ObjectId(group_id).generation_time,
        sealed=sealed == 1,
        broken=broken,
        then=callback_of(plain.get("then")),
        catch=callback_of(plain.get("catch")),
        round=round,
        completed_at=optional_time(completed),
        failed=None if failed is None else failed == 1,
        unfinished=left == 1,
    )
