"""New jobs into the table, one or many. See `jobs` for how these functions are run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from job_processor.errors import StoreRefusedError
from job_processor.models import Job, SimpleJob
from job_processor.store.sqlite.rows import COLUMNS, PLAIN_COLUMNS, Row, to_plain_rows, to_row
from job_processor.store.sqlite.tables import Tables

_GROUP = 100
"""New jobs of one statement. It runs without Python's lock, so the next are made meanwhile; row by
row, the lock would be asked for after each, and be had late."""


class Inserts:
    """The statements that insert jobs."""

    def __init__(self, tables: Tables) -> None:
        jobs = self._table = tables.jobs
        marks = ",".join("?" * len(COLUMNS.split(",")))
        self._insert = f"INSERT INTO {jobs} ({COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        self._insert_plain = self._plain_statement(1)
        self._insert_group = self._plain_statement(_GROUP)
        self._exists = f"SELECT 1 FROM {jobs} WHERE id=?"

    def insert(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs, all in one transaction; return those that the unique index refused."""
        if self._insert_all(connection, jobs) == len(jobs):
            return []
        # Whatever has its id in the table is there: by us, by our first attempt, or by another
        # scheduler. What is missing met an active one of its name, or the holder of its key.
        refused = [
            job
            for job in jobs
            if connection.execute(self._exists, (job.id.binary,)).fetchone() is None
        ]
        for job in refused:
            if not job.exclusive and not (isinstance(job, SimpleJob) and job.unique_key):
                raise StoreRefusedError(
                    f"job {job.name!r} ({job.id}): a unique index or a trigger of this table "
                    "refuses it, which is none of this package's; drop it, or use a unique_key "
                    "instead"
                )
        return refused

    def _insert_all(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> int:
        """Return how many were inserted."""
        rows = to_plain_rows(jobs)
        if rows is None:
            return connection.executemany(self._insert, [to_row(job) for job in jobs]).rowcount
        grouped = len(rows) - len(rows) % _GROUP
        inserted = 0
        for i in range(0, grouped, _GROUP):
            values = tuple(chain.from_iterable(rows[i : i + _GROUP]))
            inserted += connection.execute(self._insert_group, values).rowcount
        if grouped < len(rows):
            inserted += connection.executemany(self._insert_plain, rows[grouped:]).rowcount
        return inserted

    def _plain_statement(self, count: int) -> str:
        marks = ",".join("?" * len(PLAIN_COLUMNS.split(",")))
        values = ",".join([f"('simple','pending',{marks})"] * count)
        return f"""
            INSERT INTO {self._table} (type,status,{PLAIN_COLUMNS}) VALUES {values}
            ON CONFLICT DO NOTHING"""

    def statement(self, jobs: Sequence[Job]) -> tuple[str, list[Row]]:
        """Return the statement of `insert` and its parameters, for a connection of the caller."""
        return self._insert, [to_row(job) for job in jobs]
