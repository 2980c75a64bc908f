"""Tokens in SQLite: each verb is one transaction, so nothing happens between look and write.

Nothing here reads more than it moves: the index of what waits in a lane of a rate keeps the parked,
the dated and the next ones apart.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.handlers.lanes import lane_name
from job_processor.models import DATED, FOR_A_TOKEN, NEXT
from job_processor.store.desks.tokens import Tokens
from job_processor.store.lanes import PARKED_AT_ONCE
from job_processor.store.rates import LAST_CHARACTER, Pace
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    transaction,
    verb,
)
from job_processor.store.sqlite.rates import SqliteRates
from job_processor.store.sqlite.tables import (
    IN_RATE_LANE,
    LINE,
)
from job_processor.store.tokens import Answer, asks_at, lane_id

_WAITS = f"parked IN ('{FOR_A_TOKEN}','{DATED}','{NEXT}')"
_IN_LINE_TOO = f"parked IN ('{DATED}','{NEXT}')"


class SqliteTokens(SqliteDesk, Tokens):
    """Gives tokens to jobs, by what the desk of the rates grants."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._rates: SqliteRates = self.desk("rates")
        jobs, lane = plumbing.tables.jobs, plumbing.tables.rate_lane
        of_lane = f"{jobs} AS job INDEXED BY {lane}"
        self._parked = f"""
            SELECT rowid FROM {of_lane}
            WHERE rate_lane=? AND parked='{FOR_A_TOKEN}' AND {IN_RATE_LANE}
                AND name IN (SELECT value FROM json_each(?))
            ORDER BY priority DESC, due, id LIMIT ?"""
        self._stand = f"""
            SELECT 1 FROM {of_lane}
            WHERE rate_lane=? AND {_IN_LINE_TOO} AND {IN_RATE_LANE} LIMIT 1"""
        self._put_in_line = f"""
            UPDATE {jobs} NOT INDEXED SET parked=?, line={LINE}, ready=?, slot=?
            WHERE rowid=?"""
        self._date_one = f"""
            UPDATE {jobs} NOT INDEXED SET parked=?, line={LINE}, ready=? WHERE rowid=?"""
        self._park_one = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{FOR_A_TOKEN}', line=NULL, ready=NULL, slot=?
            WHERE rowid=?"""
        self._park_more = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{FOR_A_TOKEN}', line=NULL, ready=NULL
            WHERE rowid IN (
                SELECT rowid FROM {of_lane}
                WHERE rate_lane=? AND parked IS NULL AND priority=? AND due<=? AND slot IS NULL
                    AND {IN_RATE_LANE} LIMIT {PARKED_AT_ONCE})"""
        self._recall_lanes = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{NEXT}', ready=? WHERE rowid IN (
                SELECT rowid FROM {of_lane}
                WHERE rate_lane>? AND rate_lane<? AND {_IN_LINE_TOO} AND {IN_RATE_LANE}
                    AND ready>?)"""
        self._hasten_lane = f"""
            UPDATE {jobs} NOT INDEXED SET ready=?1 WHERE rowid IN (
                SELECT rowid FROM {of_lane}
                WHERE rate_lane=?2 AND parked='{NEXT}' AND {IN_RATE_LANE} AND ready>?1)"""
        self._withdraw_lane = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{FOR_A_TOKEN}', line=NULL, ready=NULL
            WHERE rowid IN (
                SELECT rowid FROM {of_lane}
                WHERE rate_lane=? AND {_IN_LINE_TOO} AND {IN_RATE_LANE} AND ready<?
                    AND name NOT IN (SELECT value FROM json_each(?)))"""
        alone = "(lane IS NULL AND coalesce(waiting_for, topics) IS NULL)"
        self._dissolve_lane = f"""
            UPDATE {jobs} NOT INDEXED SET rate_lane=NULL,
                scheduled_for=CASE WHEN {alone} THEN coalesce(due, scheduled_for)
                    ELSE scheduled_for END,
                line=CASE WHEN {alone} THEN NULL WHEN {_WAITS} THEN {LINE} ELSE line END,
                ready=CASE WHEN {alone} THEN NULL WHEN {_WAITS} THEN due ELSE ready END,
                parked=CASE WHEN {alone} OR {_WAITS} THEN NULL ELSE parked END,
                due=CASE WHEN {alone} THEN NULL ELSE due END
            WHERE rowid IN (
                SELECT rowid FROM {of_lane} WHERE rate_lane=? AND {IN_RATE_LANE}
                    AND name IN (SELECT value FROM json_each(?)) LIMIT ?)"""
        self._next_lane = (
            f"SELECT min(rate_lane) FROM {of_lane} WHERE rate_lane>? AND {IN_RATE_LANE}"
        )
        self._lane_of = f"SELECT rate_lane FROM {jobs} WHERE id=? AND {IN_RATE_LANE}"

    @transaction
    def _admit(
        self,
        connection: sqlite3.Connection,
        lanes: Mapping[str, Pace],
        limit: int,
        names: Collection[str],
    ) -> int:
        admitted = sum(
            self.admit_in(connection, lane, pace, limit, names) for lane, pace in lanes.items()
        )
        return self._told(connection, admitted)

    # --- within the transactions of claims ------------------------------------------------------

    def ask(
        self, connection: sqlite3.Connection, lane: str, pace: Pace, date: int | None
    ) -> Answer:
        """Return what becomes of a job; `date`: of the token that it has."""
        if date is not None:
            now, held = self._rates.held(connection, lane_id(lane))
            if not held and pace.is_to_come(date, now):
                return Answer(too_soon=True)
            if not held and pace.is_kept(date, now):
                return Answer(starts=True)
        reserved = self._rates.take(connection, lane_id(lane), pace, 1)
        self.note(lane, reserved)
        for moment in reserved.dates(pace):
            starts = moment <= reserved.now
            return Answer(starts, None if starts else int(moment))
        return Answer(wait=reserved.wait)

    def put(
        self, connection: sqlite3.Connection, row: int, slot: str | None, date: int | None
    ) -> None:
        """Met in line → dated or, without a date, parked for a token; with this slot or none."""
        if date is None:
            connection.execute(self._park_one, (slot, row))
        else:
            connection.execute(self._put_in_line, (DATED, date, slot, row))

    def park_more(self, connection: sqlite3.Connection, lane: str, priority: int, now: int) -> None:
        """In line, due, of a lane that has no token → parked for one, many at once."""
        connection.execute(self._park_more, (lane, priority, now))

    def admit_in(
        self,
        connection: sqlite3.Connection,
        lane: str,
        pace: Pace,
        limit: int,
        names: Collection[str],
    ) -> int:
        """Do what `admit` does in one lane, for so many at most; return how many."""
        values = (lane, json.dumps(list(names)), limit)
        rows = [row for (row,) in connection.execute(self._parked, values)]
        if not rows:
            return 0
        reserved = self._rates.take(connection, lane_id(lane), pace, len(rows))
        self.note(lane, reserved)
        dates = reserved.dates(pace)
        for row, date in zip(rows, dates, strict=False):
            connection.execute(self._date_one, (DATED, int(date), row))
        if dates or connection.execute(self._stand, (lane,)).fetchone() is not None:
            return len(dates)
        connection.execute(self._date_one, (NEXT, asks_at(reserved), rows[0]))
        return 1

    # --- what else is done with them ------------------------------------------------------------

    @transaction
    def _recall(
        self, connection: sqlite3.Connection, group: str, after: datetime, at: datetime
    ) -> int:
        first = lane_name(group) + ":"
        values = (to_ms(at), first, first + LAST_CHARACTER, to_ms(after))
        return self._told(connection, connection.execute(self._recall_lanes, values).rowcount)

    @transaction
    def _hasten(self, connection: sqlite3.Connection, lane: str, at: datetime) -> int:
        hastened = connection.execute(self._hasten_lane, (to_ms(at), lane)).rowcount
        return self._told(connection, hastened)

    def _told(self, connection: sqlite3.Connection, moved: int) -> int:
        """Let other processes know where anything was moved; return how much."""
        if moved:
            self._revision.bump(connection)
        return moved

    @transaction
    def _withdraw(
        self,
        connection: sqlite3.Connection,
        lanes: Collection[str],
        before: datetime,
        names: Collection[str],
    ) -> int:
        living = json.dumps(list(names))
        rows = [(lane, to_ms(before), living) for lane in lanes]
        return connection.executemany(self._withdraw_lane, rows).rowcount

    @transaction
    def _dissolve(
        self,
        connection: sqlite3.Connection,
        lanes: Collection[str],
        names: Collection[str],
        limit: int,
    ) -> int:
        of_names, dissolved = json.dumps(list(names)), 0
        for lane in lanes:
            values = (lane, of_names, limit - dissolved)
            dissolved += connection.execute(self._dissolve_lane, values).rowcount
        return self._told(connection, dissolved)

    @call
    def _waiting(self, connection: sqlite3.Connection, after: str, limit: int) -> list[str]:
        lanes: list[str] = []
        while len(lanes) < limit:
            last = lanes[-1] if lanes else after
            (lane,) = connection.execute(self._next_lane, (last,)).fetchone()
            if lane is None:
                break
            lanes.append(lane)
        return lanes

    @verb
    @call
    def lanes_of(self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]) -> set[str]:
        """Return the lanes in which any of these jobs waits."""
        found = (
            connection.execute(self._lane_of, (job_id.binary,)).fetchone() for job_id in job_ids
        )
        return {row[0] for row in found if row is not None}
