"""Free jobs of lanes without a key: they wait for their time and any slot, and for nothing else.

They stand where every job does, in the index over what is due, so that a limit costs them no index
of its own; but later than their true time, by `tables.AHEAD`. So no claim meets them that does not
know of slots, and each jump into that index passes by what stands in lanes with keys, which is at
the end of time. `rows.is_free` tells which jobs they are; any other one of such a lane is in line.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import repeat
from typing import NamedTuple

from job_processor.clock import FAR, LAST_MOMENT, to_ms
from job_processor.models import Job
from job_processor.store.lanes import LaneClaim
from job_processor.store.sqlite.claimed import (
    ALL,
    ALL_OF_LINE,
    ALL_PLACED,
    FEW,
    OF_LINE,
    PLACED,
    Bringing,
    jobs_of_line,
    placed_jobs,
    plain_jobs,
)
from job_processor.store.sqlite.due import claim_statement, heads_statement, of_all_but
from job_processor.store.sqlite.rows import Row
from job_processor.store.sqlite.slots import OF_EACH, OF_ONE, Slots
from job_processor.store.sqlite.tables import AHEAD, WAITING, Tables

PUT_OFF = f"job.scheduled_for<{to_ms(FAR)} AND job.lane IS NOT NULL AND job.due IS NULL"
"""With a lower bound: what is free, and not just to begin in a year that far away."""

_LINES_AT_ONCE = 64  # lines that one statement reads

_NO_LINE = (None, None)  # stands in where a statement merges more lines than there are


class FreeLine(NamedTuple):
    """The free jobs of a name and priority, of which the first tells the lane."""

    name: str
    priority: int
    first: int
    """When it is to begin, in milliseconds."""
    lane: str


class FreeStand(NamedTuple):
    """How the free jobs of a line stand."""

    waiting: int
    first: tuple[int, int, bytes, str] | None
    """Urgency, time, id and name of the one whose turn it is."""


class Heads(NamedTuple):
    """The first jobs of some names."""

    free: list[FreeLine]
    early: list[tuple[str, int, int]]
    """Name, priority and time of the lines whose first job is in no lane, or not yet."""


class Keyless:
    """The statements about free jobs, each within somebody's transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        jobs = tables.jobs
        due = f"{jobs} AS job INDEXED BY {tables.due}"
        first = f"job.scheduled_for>?2 AND {PUT_OFF}"
        columns = ("scheduled_for", "lane")
        self._heads = heads_statement(due, columns, first)
        self._all_heads = heads_statement(due, columns, first, of_all_but(due))
        line = f"job.name=? AND job.priority=? AND job.scheduled_for>={AHEAD}"
        of_line = f"FROM {due} WHERE {line} AND {PUT_OFF} AND {WAITING}"
        self._count = f"""
            SELECT count(*) FROM (SELECT 1 {of_line} AND job.scheduled_for<=? LIMIT ?)"""
        own = [f"json_extract(given.value,'$[{place}]')" for place in range(3)]
        of_own = f"""
            FROM {due} WHERE job.name={own[0]} AND job.priority={own[1]}
                AND job.scheduled_for>={AHEAD} AND {PUT_OFF} AND {WAITING} AND job.lane={own[2]}"""
        self._stand = f"""
            SELECT {own[2]}, (SELECT count(*) FROM (SELECT 1 {of_own} LIMIT ?2)), (
                SELECT json_array(
                    -job.priority, job.scheduled_for-{AHEAD}, hex(job.id), job.name) {of_own}
                ORDER BY job.scheduled_for LIMIT 1)
            FROM json_each(?1) AS given"""
        self._turns = lru_cache(partial(_turns_statement, due))
        self._dissolve = f"""
            UPDATE {jobs} NOT INDEXED SET lane=NULL, scheduled_for=scheduled_for-{AHEAD}
            WHERE rowid IN (SELECT job.rowid {of_line} AND job.lane=? LIMIT ?)"""
        self._take = lru_cache(partial(_claim_statement, tables))
        self._slots = Slots()
        self._placed = Bringing(tables, PLACED, ALL_PLACED)
        self._of_line = Bringing(tables, OF_LINE, ALL_OF_LINE)
        self._take_early = lru_cache(partial(claim_statement, tables))
        self._early = Bringing(tables, FEW, ALL)

    # --- which there are ------------------------------------------------------------------------

    def lines(
        self, connection: sqlite3.Connection, names: Collection[str], after: int = -1
    ) -> list[FreeLine]:
        """Return the lines of these names, each from the first that begins after a moment."""
        return self.heads(connection, names, after).free

    def heads(
        self, connection: sqlite3.Connection, names: Collection[str], after: int = -1
    ) -> Heads:
        """Return the same, and what stands in front of them in no lane."""
        values = (json.dumps(list(names)), AHEAD + after)
        return _heads_of(connection.execute(self._heads, values))

    def all_heads(self, connection: sqlite3.Connection, leaving_out: Collection[str] = ()) -> Heads:
        """Return the same of all names but some."""
        values = (json.dumps([*leaving_out]), AHEAD - 1)
        return _heads_of(connection.execute(self._all_heads, values))

    def all_lines(
        self, connection: sqlite3.Connection, leaving_out: Collection[str] = ()
    ) -> list[FreeLine]:
        """Return the lines of all names but some."""
        return self.all_heads(connection, leaving_out).free

    def lanes(self, connection: sqlite3.Connection) -> dict[str, list[FreeLine]]:
        """Return the lanes that have free jobs, each with its lines."""
        found: dict[str, list[FreeLine]] = {}
        for line in self.all_lines(connection):
            found.setdefault(line.lane, []).append(line)
        return found

    # --- what is in them ------------------------------------------------------------------------

    def count_ready(
        self, connection: sqlite3.Connection, line: FreeLine, now: int, cap: int
    ) -> int:
        """Return how many jobs of a line are due, up to `cap`."""
        values = (line.name, line.priority, AHEAD + now, cap)
        count: int = connection.execute(self._count, values).fetchone()[0]
        return count

    def stand(
        self, connection: sqlite3.Connection, lines: Sequence[FreeLine], cap: int
    ) -> dict[str, list[FreeStand]]:
        """Return how each of these lines of their lanes stands, by lane; counts stop at `cap`."""
        found: dict[str, list[FreeStand]] = {}
        if lines:
            values = (json.dumps([(each.name, each.priority, each.lane) for each in lines]), cap)
            for lane, count, first in connection.execute(self._stand, values):
                urgency, at, id, name = json.loads(first) if first else (0, 0, "", "")
                turn = (urgency, at, bytes.fromhex(id), name) if first else None
                found.setdefault(lane, []).append(FreeStand(count, turn))
        return found

    def turns(
        self, connection: sqlite3.Connection, lines: Sequence[FreeLine], limit: int
    ) -> list[tuple[int, int, bytes, str]]:
        """Return urgency, time, id and name of the first jobs of these lines of a lane."""
        found: list[tuple[int, int, bytes, str]] = []
        for start in range(0, len(lines), _LINES_AT_ONCE):
            some = lines[start : start + _LINES_AT_ONCE]
            size = 1 << (len(some) - 1).bit_length()  # few sizes, so few statements
            values: list[object] = [limit, lines[0].lane]
            for each in some:
                values += (each.name, each.priority)
            values += _NO_LINE * (size - len(some))
            found += connection.execute(self._turns(size), values).fetchall()
        return found

    # --- what becomes of them -------------------------------------------------------------------

    def claim(
        self,
        connection: sqlite3.Connection,
        claim: LaneClaim,
        lines: Sequence[FreeLine],
        free: Mapping[str, Sequence[str] | None],
        limit: int,
    ) -> list[Job]:
        """Waiting → running, the first due of these lines, as far as there are free slots.

        Those are given by lane; None: it needs none.
        """
        by_lane: dict[str, list[FreeLine]] = {}
        for line in lines:
            by_lane.setdefault(line.lane, []).append(line)
        lanes = sorted(by_lane, key=lambda lane: len(by_lane[lane]))
        sizes = tuple(1 << (len(by_lane[lane]) - 1).bit_length() for lane in lanes)
        values: list[object] = [AHEAD + to_ms(claim.now), limit, *_who(claim)]
        for lane, size in zip(lanes, sizes, strict=True):
            of_lane = free[lane]
            values += [lane, limit if of_lane is None else min(limit, len(of_lane))]
            for line in by_lane[lane]:
                values += (line.name, line.priority)
            values += _NO_LINE * (size - len(by_lane[lane]))
        given = ((lane, free[lane]) for lane in lanes)
        none = repeat(None, limit)
        self._slots.give(connection, {lane: none if of is None else of for lane, of in given})
        bringing = self._of_line if len(lines) == 1 else self._placed
        statement = self._take(sizes, bool(claim.exclude), bringing.shape.columns)
        rows = connection.execute(statement, values).fetchall()
        if bringing is self._placed:
            simple = partial(placed_jobs, worker_id=claim.worker_id)
        else:
            ((name, priority, _, lane),) = lines
            simple = partial(jobs_of_line, name, priority, lane, worker_id=claim.worker_id)
        return bringing.jobs(connection, rows, simple)

    def claim_early(
        self,
        connection: sqlite3.Connection,
        claim: LaneClaim,
        lines: Sequence[tuple[str, int, int]],
        limit: int,
    ) -> list[Job]:
        """Waiting → running, what of these lines is due and in no lane, at most so many."""
        size = 1 << (len(lines) - 1).bit_length()
        values: list[object] = [to_ms(claim.now), limit, *_who(claim)]
        for name, priority, _ in lines:
            values += (name, priority)
        values += _NO_LINE * (size - len(lines))
        bringing = self._early
        statement = self._take_early(
            size, bool(claim.exclude), by_time=False, columns=bringing.shape.columns
        )
        rows = connection.execute(statement, values).fetchall()
        return bringing.jobs(connection, rows, partial(plain_jobs, worker_id=claim.worker_id))

    def dissolve(
        self,
        connection: sqlite3.Connection,
        lines: Iterable[FreeLine],
        names: Collection[str],
        limit: int,
    ) -> int:
        """Free → in no lane, of these names, at most `limit`; return how many."""
        dissolved = 0
        for line in lines:
            if line.name in names:
                values = (line.name, line.priority, line.lane, limit - dissolved)
                dissolved += connection.execute(self._dissolve, values).rowcount
        return dissolved


def _turns_statement(due: str, lines: int) -> str:
    """Return what gives the first ?1 of each of so many lines in the lane ?2."""
    each = (
        f"SELECT * FROM (SELECT -job.priority, job.scheduled_for-{AHEAD}, job.id, job.name "
        f"FROM {due} WHERE job.name=?{place} AND job.priority=?{place + 1} "
        f"AND job.scheduled_for>={AHEAD} AND {PUT_OFF} AND {WAITING} AND job.lane=?2 "
        "ORDER BY job.scheduled_for LIMIT ?1)"
        for place in range(3, 3 + 2 * lines, 2)
    )
    return " UNION ALL ".join(each)


def _heads_of(rows: Iterable[Row]) -> Heads:
    heads = Heads([], [])
    for name, priority, earliest, first, lane in rows:
        if lane is not None:
            heads.free.append(FreeLine(name, priority, first - AHEAD, lane))
        if earliest < AHEAD:
            heads.early.append((name, priority, earliest))
    return heads


def _who(claim: LaneClaim) -> tuple[bytes, str, int]:
    """Return the worker, the excluded ids as JSON and the time of a claim."""
    excluded = json.dumps([id.binary.hex().upper() for id in claim.exclude])
    return claim.worker_id.binary, excluded, to_ms(claim.now)


def _claim_statement(tables: Tables, sizes: Sequence[int], excluding: bool, columns: str) -> str:
    """Return what claims of so many lines of each lane, merged in the order of the index.

    Parameters: ?1 until when it was due, put off, ?2 limit, ?3 the worker, ?4 the excluded ids as
    JSON, ?5 now; then of each lane its name, how many of it, and name and priority of each line.
    """
    excluded = "AND hex(job.id) NOT IN (SELECT value FROM json_each(?4))" if excluding else ""
    lanes, merged, place = list[str](), "", 6
    for size in sizes:
        terms = [
            f"SELECT job.rowid AS number, job.priority AS priority, job.scheduled_for AS time "
            f"FROM {tables.jobs} AS job INDEXED BY {tables.due} "
            f"WHERE job.name=?{number} AND job.priority=?{number + 1} "
            f"AND job.scheduled_for>={AHEAD} AND job.scheduled_for<=?1 AND {PUT_OFF} "
            f"AND job.lane=?{place} AND {WAITING} {excluded}"
            for number in range(place + 2, place + 2 + 2 * size, 2)
        ]
        merged = f"{' UNION ALL '.join(terms)} ORDER BY priority DESC, time LIMIT ?{place + 1}"
        lanes.append(f"SELECT number, priority, time FROM ({merged})")
        place += 2 + 2 * size
    if len(lanes) > 1:
        merged = f"{' UNION ALL '.join(lanes)} ORDER BY priority DESC, time LIMIT ?2"
    moment = f"CASE WHEN updated_at<{to_ms(LAST_MOMENT)} THEN max(?5,updated_at+1) ELSE ?5 END"
    slot = OF_ONE if len(sizes) == 1 else OF_EACH
    return f"""
        UPDATE {tables.jobs} NOT INDEXED
        SET status='running', worker_id=?3, updated_at={moment},
            started_at=coalesce(started_at, {moment}),
            scheduled_for=scheduled_for-{AHEAD}, slot={slot}
        WHERE rowid IN (SELECT number FROM ({merged})) AND {WAITING}
        RETURNING {columns}"""
