"""Parked jobs, and what else is done with lanes beside claiming: all that needs no free slot."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from bson import ObjectId

from job_processor.clock import FAR, from_ms, to_ms
from job_processor.models import FOR_A_SLOT, FOR_A_TOKEN
from job_processor.store.lanes import KEYED, lines_of, slots_of
from job_processor.store.sqlite.connections import (
    Plumbing,
    call,
    page,
    transaction,
    verb,
)
from job_processor.store.sqlite.crowds import SqliteCrowds
from job_processor.store.sqlite.tables import (
    EXPIRY,
    HAS_LANE,
    IN_LANE,
    IN_LINE,
    LINE,
    MAY_EXPIRE,
    OUT_OF_LANE,
    PARKED,
    SLOTTED,
    TRUE_TIME,
    UNBEGUN,
    WAITING,
)

_FAR_MS = to_ms(FAR)
_IN_LINE = IN_LINE.replace("line", "job.line").replace("status", "job.status")


class SqliteParking(SqliteCrowds):
    """Parks and releases, and looks at what waits in lanes."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs = tables.jobs
        line = f"{jobs} AS job INDEXED BY {tables.line}"
        lane = f"{jobs} AS job INDEXED BY {tables.lane}"
        self._heads = _heads_statement(line)
        self._each_head = _heads_statement(line, _all_but(line))
        self._ready_of = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {line}
                WHERE line=? AND priority=? AND ready<=? AND {_IN_LINE} LIMIT ?
            )"""
        self._park_one = f"""
            UPDATE {jobs} SET due={TRUE_TIME}, scheduled_for={_FAR_MS},
                parked=?1, line=NULL, ready=NULL
            WHERE id=?2 AND status='pending' AND parked IS NULL AND slot IS NULL"""
        self._release_one = f"""
            UPDATE {jobs} SET parked=NULL, topics=NULL,
                line={LINE}, ready=CASE WHEN {HAS_LANE} THEN coalesce(?1, due) END,
                scheduled_for=CASE WHEN {HAS_LANE} THEN scheduled_for ELSE coalesce(?1, due) END,
                due=CASE WHEN {HAS_LANE} THEN due END
            WHERE id=?2 AND {WAITING} AND parked IS NOT NULL"""
        self._withdraw_lane = f"""
            UPDATE {jobs} SET slot=NULL, parked='{FOR_A_SLOT}', line=NULL, ready=NULL
            WHERE rowid IN (
                SELECT rowid FROM {jobs} INDEXED BY {tables.slots}
                WHERE slot>?1||'#' AND slot<?1||'$' AND {SLOTTED} AND lane=?1 AND {WAITING}
                    AND line IS NOT NULL AND ordered IS NULL AND ready<?2
                    AND name NOT IN (SELECT value FROM json_each(?3)))"""
        self._retract_lane = f"""
            UPDATE {jobs} SET slot=NULL, parked='{FOR_A_SLOT}', line=NULL, ready=NULL
            WHERE rowid IN (
                SELECT rowid FROM {jobs} INDEXED BY {tables.slots}
                WHERE slot>?1||'#' AND slot<?1||'$' AND {SLOTTED} AND lane=?1 AND {WAITING}
                    AND line IS NOT NULL AND ordered IS NULL
                    AND slot NOT IN (SELECT value FROM json_each(?2)))"""
        of_rate, waits = "rate_lane IS NOT NULL", "(coalesce(waiting_for, topics) IS NOT NULL)"
        self._dissolve_lane = f"""
            UPDATE {jobs} NOT INDEXED SET lane=NULL, slot=NULL, ordered=NULL,
                scheduled_for=CASE WHEN {of_rate} OR {waits} THEN scheduled_for
                    ELSE coalesce(due, scheduled_for) END,
                line=CASE WHEN NOT {waits} AND {of_rate} AND parked IS NOT '{FOR_A_TOKEN}'
                    THEN '{KEYED}'||name END,
                ready=CASE WHEN NOT {waits} AND {of_rate} AND parked IS NOT '{FOR_A_TOKEN}'
                    THEN coalesce(ready, due) END,
                parked=CASE WHEN {waits} THEN parked
                    WHEN {of_rate} AND parked<>'{FOR_A_SLOT}' THEN parked END,
                due=CASE WHEN {of_rate} OR {waits} THEN due END
            WHERE rowid IN (
                SELECT rowid FROM {lane} WHERE lane=?1 AND {IN_LANE}
                    AND name IN (SELECT value FROM json_each(?2)) LIMIT ?3)"""
        self._expire_some = f"""
            UPDATE {jobs} NOT INDEXED SET lane=NULL, rate_lane=NULL, ordered=NULL,
                {OUT_OF_LANE}
            WHERE rowid IN (
                SELECT rowid FROM {jobs} INDEXED BY {tables.expiring}
                WHERE {EXPIRY}<=?1 AND {MAY_EXPIRE} AND {UNBEGUN} AND slot IS NULL
                ORDER BY {EXPIRY} LIMIT ?2)"""
        self._parked_of = f"""
            SELECT given.value, (
                SELECT count(*) FROM (
                    SELECT 1 FROM {jobs} INDEXED BY {tables.parked}
                    WHERE name=given.value AND {PARKED} LIMIT ?2
                )
            ) FROM json_each(?1) AS given"""
        self._next_lane = f"""
            SELECT min(lane) FROM {lane} WHERE lane>? AND {IN_LANE}"""
        self._slot_of = f"""
            SELECT lane FROM {jobs} WHERE id=? AND {SLOTTED}"""

    @transaction
    def _park(
        self,
        connection: sqlite3.Connection,
        job_ids: Collection[ObjectId],
        reason: str,
        now: datetime,
    ) -> int:
        del now
        rows = [(reason, job_id.binary) for job_id in job_ids]
        return connection.executemany(self._park_one, rows).rowcount

    @transaction
    def _release(
        self,
        connection: sqlite3.Connection,
        job_ids: Collection[ObjectId],
        now: datetime,
        at: datetime | None,
    ) -> int:
        del now
        moment = None if at is None else to_ms(at)
        rows = [(moment, job_id.binary) for job_id in job_ids]
        released = connection.executemany(self._release_one, rows).rowcount
        if released:
            self._revision.bump(connection)
        return released

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
    def _retract(self, connection: sqlite3.Connection, lanes: Mapping[str, int]) -> int:
        rows = [(lane, json.dumps(slots_of(lane, amount))) for lane, amount in lanes.items()]
        return connection.executemany(self._retract_lane, rows).rowcount

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
        for lane, lines in self._free_lines(connection, lanes).items():
            if lane in lanes:
                left = limit - dissolved
                dissolved += self.keyless.dissolve(connection, lines, names, left)
        if dissolved:
            self._revision.bump(connection)
        return dissolved

    @transaction
    def _expire(self, connection: sqlite3.Connection, now: datetime, limit: int) -> int:
        expired = connection.execute(self._expire_some, (to_ms(now), limit)).rowcount
        if expired:
            self._revision.bump(connection)
        return expired

    @call
    def _waiting(self, connection: sqlite3.Connection, after: str, limit: int) -> list[str]:
        lanes: list[str] = []
        while len(lanes) < limit:
            last = lanes[-1] if lanes else after
            (lane,) = connection.execute(self._next_lane, (last,)).fetchone()
            if lane is None:
                break
            lanes.append(lane)
        free = (lane for lane in self.keyless.lanes(connection) if lane > after)
        return sorted({*lanes, *free})[:limit]

    @page
    def _parked(
        self, connection: sqlite3.Connection, names: Collection[str], cap: int
    ) -> dict[str, int]:
        rows = connection.execute(self._parked_of, (json.dumps([*names]), cap)).fetchall()
        return {name: count for name, count in rows if count}

    @verb
    @call
    def holding(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot."""
        found = {
            job_id: connection.execute(self._slot_of, (job_id.binary,)).fetchone()
            for job_id in job_ids
        }
        return {job_id: row[0] for job_id, row in found.items() if row is not None}

    @call
    def _next_ready(
        self, connection: sqlite3.Connection, names: Collection[str], after: datetime | None
    ) -> datetime | None:
        past = -1 if after is None else to_ms(after)
        lines = json.dumps(lines_of(names))
        heads = connection.execute(self._heads, (lines, past)).fetchall()
        free = self.keyless.lines(connection, names, past)
        first = min([*(head for *_, head in heads), *(line.first for line in free)], default=None)
        return None if first is None else from_ms(first)

    # --- what is due, within the statements of others -------------------------------------------

    def first_ready(
        self, connection: sqlite3.Connection, leaving_out: Collection[str]
    ) -> datetime | None:
        """Return when the first job in line is ready, but for some names."""
        heads = [first for *_, first in self.all_heads(connection, leaving_out)]
        heads += [line.first for line in self.keyless.all_lines(connection, leaving_out)]
        return from_ms(min(heads)) if heads else None

    def count_ready(
        self, connection: sqlite3.Connection, names: Collection[str], now: int, cap: int
    ) -> Iterator[tuple[str, int]]:
        """Give names with how many of their jobs in line are ready, each count up to `cap`."""
        heads = connection.execute(self._heads, (json.dumps(lines_of(names)), -1)).fetchall()
        for line, priority, first in heads:
            if first <= now:
                arguments = (line, priority, now, cap)
                yield line[1:], connection.execute(self._ready_of, arguments).fetchone()[0]
        for free in self.keyless.lines(connection, names):
            yield free.name, self.keyless.count_ready(connection, free, now, cap)

    def all_heads(
        self, connection: sqlite3.Connection, leaving_out: Collection[str]
    ) -> list[tuple[str, int, int]]:
        """Return line, priority and time of the first job of each line, but for some names."""
        return connection.execute(self._each_head, (json.dumps([*leaving_out]), -1)).fetchall()


_OF_LINES = "SELECT value AS line FROM json_each(?1)"  # gives the lines of a JSON list


def _all_but(source: str) -> str:
    """Return what gives the lines in which anybody waits, but of the names of the JSON list ?1."""
    return f"""
        SELECT line FROM (
            WITH RECURSIVE waiting(line) AS (
                SELECT min(job.line) FROM {source} WHERE {_IN_LINE}
                UNION ALL
                SELECT (
                    SELECT min(job.line) FROM {source}
                    WHERE {_IN_LINE} AND job.line>waiting.line
                ) FROM waiting WHERE waiting.line IS NOT NULL
            )
            SELECT line FROM waiting WHERE line IS NOT NULL
        ) WHERE substr(line,2) NOT IN (SELECT value FROM json_each(?1))"""


def _heads_statement(source: str, lines: str = _OF_LINES) -> str:
    return f"""
        WITH RECURSIVE head(line, priority) AS (
            SELECT given.line, (
                SELECT max(job.priority) FROM {source} WHERE job.line=given.line AND {_IN_LINE}
            ) FROM ({lines}) AS given
            UNION ALL
            SELECT head.line, (
                SELECT max(job.priority) FROM {source}
                WHERE job.line=head.line AND {_IN_LINE} AND job.priority<head.priority
            ) FROM head WHERE head.priority IS NOT NULL
        )
        SELECT * FROM (
            SELECT line, priority, (
                SELECT min(job.ready) FROM {source}
                WHERE job.line=head.line AND {_IN_LINE} AND job.priority=head.priority
                    AND job.ready>?2
            ) AS first FROM head WHERE priority IS NOT NULL
        ) WHERE first IS NOT NULL"""
