"""Lanes in SQLite: each verb is one transaction, so nothing happens between its look and its write.

Nothing here reads more than it moves, or than there are lines and lanes: the index of what waits in
a lane keeps the parked ones apart, and each walk of it stops at the first that fits.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial

from job_processor.clock import FAR, LAST_MOMENT, to_ms
from job_processor.models import FOR_A_SLOT, Job
from job_processor.store.lanes import PARKED_AT_ONCE, LaneClaim, Taken, slot_of, slots_of
from job_processor.store.sqlite.claiming import (
    MERGED_LINES,
    Candidate,
    Claiming,
    Head,
    Next,
    urgency,
)
from job_processor.store.sqlite.connections import (
    Plumbing,
    transaction,
)
from job_processor.store.sqlite.parking import SqliteParking
from job_processor.store.sqlite.reading import to_jobs
from job_processor.store.sqlite.rows import COLUMNS
from job_processor.store.sqlite.tables import (
    HAS_LINE,
    IN_LANE,
    IN_LINE,
    LINE,
    OUT_OF_LANE,
    SLOTTED,
)
from job_processor.store.sqlite.tokens import SqliteTokens

_ROUNDS = 8
"""Looks at the lines that one claim takes at most: each goes behind what the last found full."""

_FAR_MS = to_ms(FAR)
_ABOVE_ALL = 1 << 62  # any priority
_IN_LINE = IN_LINE.replace("line", "job.line").replace("status", "job.status")
_NO_LINE = (None, None)  # stands in where a statement merges more lines than there are


class SqliteLanes(SqliteParking):
    """Gives slots, by a unique index over those that are taken."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self.starts: SqliteTokens = self.desk("tokens")
        tables = plumbing.tables
        jobs = tables.jobs
        line = f"{jobs} AS job INDEXED BY {tables.line}"
        lane = f"{jobs} AS job INDEXED BY {tables.lane}"
        self._look = lru_cache(partial(_look_statement, line))
        self._taken = f"""
            SELECT slot FROM {jobs} INDEXED BY {tables.slots}
            WHERE slot>?1||'#' AND slot<?1||'$' AND {SLOTTED}"""
        self._any_in_line = f"SELECT 1 FROM {line} WHERE {HAS_LINE} LIMIT 1"
        self._anybody_parked = f"""
            SELECT 1 FROM {lane} WHERE lane=? AND parked='{FOR_A_SLOT}' AND {IN_LANE} LIMIT 1"""
        self._priority = f"""
            SELECT max(priority) FROM {lane}
            WHERE lane=?1 AND parked IS ?2 AND priority<?3 AND {IN_LANE}"""
        self._first = f"""
            SELECT -priority, due, id, rowid, name, ordered, rate_lane FROM {lane}
            WHERE lane=?1 AND parked IS ?2 AND priority=?3 AND due<=?4 AND slot IS NULL
                AND {IN_LANE} AND (?5 IS NULL OR name IN (SELECT value FROM json_each(?5)))
            ORDER BY due, id LIMIT 1"""
        moment = f"CASE WHEN updated_at<{to_ms(LAST_MOMENT)} THEN max(?2,updated_at+1) ELSE ?2 END"
        self._start = f"""
            UPDATE {jobs} NOT INDEXED SET status='running', worker_id=?1, updated_at={moment},
                started_at=coalesce(started_at, {moment}), slot=given.slot, {OUT_OF_LANE}
            FROM (
                SELECT json_extract(value,'$[0]') AS row, json_extract(value,'$[1]') AS slot
                FROM json_each(?3)
            ) AS given
            WHERE {jobs}.rowid=given.row RETURNING {COLUMNS}"""
        self._park_one_for_slot = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{FOR_A_SLOT}', line=NULL, ready=NULL
            WHERE rowid=?"""
        self._park_lane = f"""
            UPDATE {jobs} NOT INDEXED SET parked='{FOR_A_SLOT}', line=NULL, ready=NULL
            WHERE rowid IN (
                SELECT rowid FROM {lane}
                WHERE lane=?1 AND parked IS NULL AND priority=?2 AND due<=?3 AND slot IS NULL
                    AND {IN_LANE} LIMIT ?4)"""
        self._admit_one = f"""
            UPDATE {jobs} NOT INDEXED SET slot=?1, parked=NULL, line={LINE},
                ready=min(coalesce(ready, ?2), ?2)
            WHERE rowid=?3"""

    @transaction
    def _claim(self, connection: sqlite3.Connection, claim: LaneClaim) -> Taken:
        """Go through the lines until the worker has enough, or nothing is left that may start."""
        claiming = Claiming(self, connection, claim)
        is_done = any(not claiming.look() for _ in range(_ROUNDS))
        claiming.let_follow()
        if claiming.moved:
            self._revision.bump(connection)
        blocked = claiming.blocked and is_done
        return Taken(claiming.jobs, blocked, claiming.refused, claiming.moved, more=not is_done)

    @transaction
    def _hand_over(
        self,
        connection: sqlite3.Connection,
        lanes: Mapping[str, int],
        names: Collection[str],
        now: datetime,
    ) -> int:
        return self.hand_over_in(connection, lanes, names, now)

    # --- what claims and hand-overs have in common, within their transactions -------------------

    def hand_over_in(
        self,
        connection: sqlite3.Connection,
        lanes: Mapping[str, int],
        names: Collection[str],
        now: datetime,
    ) -> int:
        """Give the free slots of lanes to those whose turn it is; return how many."""
        admitted = 0
        for lane, amount in lanes.items():
            # Where nobody is parked, who stands in line has a slot by the next claim: no write.
            if connection.execute(self._anybody_parked, (lane,)).fetchone() is None:
                continue
            for slot in self._free_slots(connection, lane, amount):
                first = self.next_of(connection, lane, to_ms(now), names)
                if first is None:
                    break
                self.admit(connection, first.row, slot, to_ms(now))
                admitted += 1
        if admitted:
            self._revision.bump(connection)
        return admitted

    def heads(self, connection: sqlite3.Connection, lines: Collection[str]) -> list[Head]:
        """Return the first of each line, the most urgent ones first."""
        if connection.execute(self._any_in_line).fetchone() is None:
            return []
        found = connection.execute(self._heads, (json.dumps(list(lines)), -1)).fetchall()
        return sorted((Head(*each) for each in found), key=urgency)

    def look(
        self,
        connection: sqlite3.Connection,
        heads: Collection[Head],
        claim: LaneClaim,
        limit: int,
        too_soon: Collection[bytes],
    ) -> list[Candidate]:
        """Return the jobs that stand first in lines with these heads and are ready."""
        now = to_ms(claim.now)
        due = [head for head in heads if head.first <= now][:MERGED_LINES]
        if not due:
            return []
        merged = 1 << (len(due) - 1).bit_length()
        values: list[str | int | None] = []
        for head in due:
            values += head.line, head.priority
        values += _NO_LINE * (merged - len(due))
        left_out = [*(id.binary for id in claim.exclude), *too_soon]
        excluded = json.dumps([id.hex().upper() for id in left_out])
        arguments = (now, limit, excluded, *values)
        rows = connection.execute(self._look(merged), arguments).fetchall()
        return [Candidate(*row) for row in rows]

    def free(
        self, connection: sqlite3.Connection, lane: str, amount: int, wanted: int
    ) -> list[str]:
        """Return free slots of a lane, as many as are wanted, where there are so many."""
        taken = self._taken_slots(connection, lane)
        slots = _slots_of(lane, min(amount, wanted + len(taken)))
        return [slot for slot in slots if slot not in taken][:wanted] if taken else list(slots)

    def _free_slots(self, connection: sqlite3.Connection, lane: str, amount: int) -> Iterator[str]:
        taken = self._taken_slots(connection, lane)
        slots = (slot_of(lane, number) for number in range(amount))
        return (slot for slot in slots if slot not in taken)

    def _taken_slots(self, connection: sqlite3.Connection, lane: str) -> set[str]:
        # They are read, and not the free ones looked for: a limit may be much larger.
        return {slot for (slot,) in connection.execute(self._taken, (lane,))}

    def next(
        self, connection: sqlite3.Connection, lane: str, now: int, names: str | None = None
    ) -> Next | None:
        """Return the due job of a lane whose turn it is, be it parked or in line."""
        found = (
            self._next_of_state(connection, lane, parked, now, names)
            for parked in (None, FOR_A_SLOT)
        )
        return min((each for each in found if each is not None), default=None)

    def next_of(
        self, connection: sqlite3.Connection, lane: str, now: int, names: Collection[str]
    ) -> Next | None:
        """Return the same, of these names; none where the order of its lane is in the way."""
        first = self.next(connection, lane, now)
        if first is None or first.name in names:
            return first
        if first.ordered is not None:
            return None
        return self.next(connection, lane, now, json.dumps(list(names)))

    def _next_of_state(
        self,
        connection: sqlite3.Connection,
        lane: str,
        parked: str | None,
        now: int,
        names: str | None,
    ) -> Next | None:
        """Look one priority after the other: within one the due jobs stand in front."""
        priority = _ABOVE_ALL
        while True:
            (below,) = connection.execute(self._priority, (lane, parked, priority)).fetchone()
            if below is None:
                return None
            priority = below
            values = (lane, parked, priority, now, names)
            row = connection.execute(self._first, values).fetchone()
            if row is not None:
                return Next(*row)

    def start(
        self,
        connection: sqlite3.Connection,
        claim: LaneClaim,
        starts: Sequence[tuple[int, str | None]],
    ) -> list[Job]:
        """Waiting → running, each of these rows with its slot, in one statement; in any order."""
        values = (claim.worker_id.binary, to_ms(claim.now), json.dumps(starts))
        return to_jobs(connection.execute(self._start, values).fetchall())

    def admit(self, connection: sqlite3.Connection, row: int, slot: str, now: int) -> None:
        """Waiting → in line with this slot, from now on or from when it has stood there."""
        connection.execute(self._admit_one, (slot, now, row))

    def park_for_slot(self, connection: sqlite3.Connection, row: int) -> None:
        """In line, be it dated or not → parked for a slot."""
        connection.execute(self._park_one_for_slot, (row,))

    def park_lane(self, connection: sqlite3.Connection, lane: str, priority: int, now: int) -> None:
        """In line for a slot of a lane that is full → parked, many at once."""
        connection.execute(self._park_lane, (lane, priority, now, PARKED_AT_ONCE))


@lru_cache(maxsize=256)
def _slots_of(lane: str, count: int) -> tuple[str, ...]:
    """Return the first slots of a lane, whose names most claims would make anew."""
    return tuple(slots_of(lane, count))


def _look_statement(source: str, lines: int) -> str:
    """Return what merges lines, each read in the order of the index and only as far as needed.

    Parameters: ?1 until when it was ready, ?2 limit, ?3 the excluded ids as JSON; then name and
    priority of each line.
    """
    terms = [
        f"SELECT rowid AS number, id, line, name, lane, slot, ordered, priority, rate_lane, "
        f"parked, ready "
        f"FROM {source} WHERE line=?{4 + 2 * i} AND priority=?{5 + 2 * i} AND ready<=?1 "
        f"AND {IN_LINE} AND hex(id) NOT IN (SELECT value FROM json_each(?3))"
        for i in range(lines)
    ]
    return f"{' UNION ALL '.join(terms)} ORDER BY priority DESC, ready LIMIT ?2"
