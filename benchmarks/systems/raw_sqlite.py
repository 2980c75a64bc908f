"""Bare SQL on the file that our setup makes: the same columns, indexes, pragmas; no library."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from benchmarks import probe
from benchmarks.systems import raws
from benchmarks.systems.base import Producer, Task

JOBS = "job_processor_jobs"
WAITING = "status IN ('pending','paused')"
CLAIM = f"""
    UPDATE {JOBS} NOT INDEXED SET status='running', worker_id=?3,
        started_at=coalesce(started_at, ?1), updated_at=?1
    WHERE rowid IN (
        SELECT rowid FROM {JOBS} INDEXED BY job_processor_jobs_due
        WHERE name='noop' AND priority=0 AND scheduled_for<=?1 AND {WAITING}
        ORDER BY scheduled_for LIMIT ?2
    ) AND {WAITING} RETURNING *"""
COMPLETE = f"""
    UPDATE {JOBS} SET status='finished', updated_at=?1, ended_at=?1, output=?2
    WHERE id=?3 AND status='running' AND worker_id=?4 AND attempt=1"""
OUTPUT = '{"duration":"0 seconds"}'


def connect() -> sqlite3.Connection:
    """Return a connection with our settings."""
    connection = sqlite3.connect(os.environ["BENCH_FILE"], isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def drain(size: int) -> None:
    """Claim and complete so many at a time, until nothing is left."""
    connection, worker = connect(), ObjectId().binary
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({JOBS})")]
    id_at = columns.index("id")
    while True:
        now = time.time_ns() // 1_000_000
        claimed = connection.execute(CLAIM, (now, size, worker)).fetchall()
        if not claimed:
            return
        probe.counter().hit(len(claimed))  # before they complete, as a handler is
        done = [(now, OUTPUT, row[id_at], worker) for row in claimed]
        if size == 1:
            connection.execute(COMPLETE, done[0])
        else:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(COMPLETE, done)
            connection.execute("COMMIT")


class RawProducer(Producer):
    """Inserts rows."""

    async def open(self) -> None:
        """Make the file; learn what a new row of ours looks like, and leave out its defaults."""
        await asyncio.to_thread(raws.prepare, os.environ["BENCH_DB"])
        self._connection = connect()
        cursor = self._connection.execute(f"SELECT * FROM {JOBS}")
        new = dict(zip((each[0] for each in cursor.description), cursor.fetchone(), strict=True))
        table = self._connection.execute(
            "SELECT name, dflt_value FROM pragma_table_info(?)", [JOBS]
        )
        defaults = {name: None if text is None else int(text) for name, text in table}
        row = {name: value for name, value in new.items() if value != defaults[name]}
        names, self._row = list(row), list(row.values())
        self._id_at, self._payload_at = names.index("id"), names.index("payload")
        self._times = [names.index(n) for n in ("scheduled_for", "created_at", "updated_at")]
        marks = ",".join("?" * len(names))
        self._insert = f"INSERT INTO {JOBS} ({','.join(names)}) VALUES ({marks})"
        self._connection.execute(f"DELETE FROM {JOBS}")

    async def one(self, task: Task, value: int) -> None:
        """Insert one."""
        self._connection.execute(self._insert, self._values(value))

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Insert many in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(self._insert, [self._values(value) for value in values])
        self._connection.execute("COMMIT")

    def _values(self, value: int) -> list[Any]:
        row, now = self._row.copy(), time.time_ns() // 1_000_000
        row[self._id_at] = ObjectId().binary
        row[self._payload_at] = f'{{"n":{value}}}'
        for i in self._times:
            row[i] = now
        return row


class OneByOne(raws.RawSystem):
    """One transaction to claim, one to complete, for each job."""

    key = "raw-sqlite-one"
    title = "Bare SQL, SQLite, one by one"
    module = "raw_sqlite"


class InHundreds(raws.RawSystem):
    """One transaction to claim, one to complete, for a hundred jobs."""

    key = "raw-sqlite-hundred"
    title = "Bare SQL, SQLite, in hundreds"
    module = "raw_sqlite"
    bulk = "executemany"


SYSTEMS = (OneByOne(), InHundreds())
PRODUCERS = {each.key: RawProducer for each in SYSTEMS}

if __name__ == "__main__":
    drain(1 if sys.argv[1] == OneByOne.key else raws.HUNDRED)
