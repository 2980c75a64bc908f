"""Messages in a table of their own, and the jobs that wait for them by two indexes."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import FAR, from_ms, to_ms
from job_processor.models import FOR_A_MESSAGE, Message
from job_processor.store.desks.messages import Messages
from job_processor.store.messages import Wait
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    read,
    transaction,
)
from job_processor.store.sqlite.reading import decode_topics
from job_processor.store.sqlite.rows import Row, encode_topics
from job_processor.store.sqlite.sessions import write_in
from job_processor.store.sqlite.tables import AMONG_SEVERAL, HAS_LANE, HAS_TOPICS, LINE

_DROPPED_AT_ONCE = 10
"""Messages whose time is over that go with each new one: more than come."""


class SqliteMessages(SqliteDesk, Messages):
    """Keeps messages, and lets go on what waits for them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs, messages = tables.jobs, tables.messages
        self._insert = f"""
            INSERT INTO {messages} (topic, id, payload, sent_at, expires_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (topic) DO UPDATE SET id=excluded.id, payload=excluded.payload,
                sent_at=excluded.sent_at, expires_at=excluded.expires_at
            WHERE {messages}.expires_at<=excluded.sent_at OR {messages}.id=excluded.id"""
        self._drop = f"""
            DELETE FROM {messages} WHERE rowid IN (
                SELECT rowid FROM {messages} INDEXED BY {tables.kept_messages}
                WHERE expires_at<=? LIMIT {_DROPPED_AT_ONCE})"""
        self._message = f"""
            SELECT topic, payload, id, sent_at, expires_at FROM {messages}
            WHERE topic=? AND expires_at>?"""
        by_topic = f"FROM {jobs} INDEXED BY {tables.topics}"
        parked = f"status='pending' AND parked='{FOR_A_MESSAGE}'"
        for_it = f"""
            SELECT rowid {by_topic} WHERE {HAS_TOPICS} AND topics=?2
            UNION ALL
            SELECT rowid {by_topic} WHERE {HAS_TOPICS} AND {AMONG_SEVERAL}
                AND EXISTS (SELECT 1 FROM json_each(topics) WHERE value=?3)"""
        self._ids_for = (
            f"SELECT id FROM {jobs} NOT INDEXED WHERE rowid IN ({for_it}) AND {parked} LIMIT ?1"
        )
        self._all_waiting = f"""
            SELECT due, id, topics FROM {jobs} INDEXED BY {tables.timeouts}
            WHERE {HAS_TOPICS} AND (due, id)>(?, ?) AND {parked} ORDER BY due, id LIMIT ?"""
        go_on = f"""
            SET parked=NULL, topics=NULL, line={LINE},
                ready=CASE WHEN {HAS_LANE} THEN coalesce(?1, due) END,
                scheduled_for=CASE WHEN {HAS_LANE} THEN {to_ms(FAR)} ELSE coalesce(?1, due) END,
                due=CASE WHEN {HAS_LANE} THEN coalesce(?1, due) END
            WHERE {parked} AND """
        self._wake_one = f"UPDATE {jobs} {go_on} id=?2"
        self._wake_all = f"UPDATE {jobs} NOT INDEXED {go_on} rowid IN ({for_it})"
        self._bump = f"UPDATE {tables.meta} SET value=value+1 WHERE key='revision'"

    @transaction
    def _put(self, connection: sqlite3.Connection, message: Message) -> bool:
        """Write a message; some whose time is over go with it."""
        connection.execute(self._drop, (to_ms(message.sent_at),))
        return connection.execute(self._insert, _row(message)).rowcount == 1

    async def put_in(self, session: Any, message: Message) -> bool:
        """Write a message in the caller's transaction, and let go on what waits for it."""
        path = self._connections.location.path
        if not await write_in(session, path, self._insert, [_row(message)]):
            return False
        waits = to_ms(message.sent_at), encode_topics([message.topic]), message.topic
        if await write_in(session, path, self._wake_all, [waits]):
            await write_in(session, path, self._bump, [()])  # other processes look for that
        return True

    @read
    def _find(
        self, connection: sqlite3.Connection, topics: Collection[str], now: datetime
    ) -> dict[str, Message]:
        """Return the messages of these names."""
        at = to_ms(now)
        rows = (connection.execute(self._message, (topic, at)).fetchone() for topic in topics)
        return {row[0]: _message(row) for row in rows if row is not None}

    @read
    def _waiting_for(
        self, connection: sqlite3.Connection, topic: str, limit: int
    ) -> list[ObjectId]:
        """Return what waits for a message: for it alone, or for it among several."""
        arguments = limit, encode_topics([topic]), topic
        return [ObjectId(id) for (id,) in connection.execute(self._ids_for, arguments)]

    @read
    def _waiting(
        self, connection: sqlite3.Connection, limit: int, after: Wait | None
    ) -> list[Wait]:
        """Return what waits, along the index of the times until when."""
        place = (-1, b"") if after is None else (to_ms(after.until), after.job_id.binary)
        rows = connection.execute(self._all_waiting, (*place, limit)).fetchall()
        return [Wait(from_ms(due), ObjectId(id), decode_topics(text)) for due, id, text in rows]

    @transaction
    def _wake(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId], at: datetime | None
    ) -> int:
        """Let jobs go on that wait still."""
        moment = None if at is None else to_ms(at)
        rows = [(moment, job_id.binary) for job_id in job_ids]
        woken = connection.executemany(self._wake_one, rows).rowcount
        if woken:
            self._revision.bump(connection)
        return woken


def _row(message: Message) -> Row:
    times = to_ms(message.sent_at), to_ms(message.expires_at)
    return message.topic, message.id.binary, encode(message.payload), *times


def _message(row: Row) -> Message:
    topic, payload, id, sent_at, expires_at = row
    return Message(topic, decode(payload), ObjectId(id), from_ms(sent_at), from_ms(expires_at))
