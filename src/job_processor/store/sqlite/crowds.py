"""How lanes stand, for who looks at them: what runs there, what waits, and whose turn it is.

The index of the slots tells what runs and what was let in, that of the lanes what waits, but for
what is free in lanes without a key: see `keyless`. Each lane is found by a jump behind the one
before, and each count stops at its cap: nothing here costs more where more waits.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.handlers.lanes import has_key
from job_processor.models import WAITS_FOR
from job_processor.store.desks.lanes import Lanes
from job_processor.store.lanes import Bounds, LaneInfo, Turn
from job_processor.store.sqlite.connections import Plumbing, SqliteDesk, page
from job_processor.store.sqlite.keyless import FreeLine, FreeStand, Keyless
from job_processor.store.sqlite.tables import IN_LANE, SLOTTED

_REASONS = (None, *WAITS_FOR)
"""For what a waiting job may be parked; None: it is in line."""

_END = "\U0010ffff"
"""Later than any name."""


class SqliteCrowds(SqliteDesk, Lanes):
    """Looks at lanes, and changes nothing."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        jobs, tables = plumbing.tables.jobs, plumbing.tables
        self.keyless = Keyless(tables)
        lane = f"{jobs} AS job INDEXED BY {tables.lane}"
        slots = f"{jobs} INDEXED BY {tables.slots}"
        self._waiting_in = _waiting_statement(lane)
        self._slotted_in = _slotted_statement(slots)
        self._of_slots = f"""
            SELECT id, status, name, coalesce(due, scheduled_for), ready FROM {slots}
            WHERE slot>?1||'#' AND slot<?1||'$' AND {SLOTTED} AND lane=?1 LIMIT ?2"""
        self._stands = _stands_statement(slots, lane)
        self._first_turns = _first_turns_statement(lane)
        self._turns = _each_reason(lane, "?1", "?2")
        self._due_turns = _each_reason(lane, "?1", "?2", "AND due<=?3")

    @page
    def _in_use(
        self, connection: sqlite3.Connection, bounds: Sequence[Bounds], limit: int
    ) -> list[str]:
        free, wanted = self.keyless.lanes(connection), [(each.above, each.below) for each in bounds]
        found = {lane for lane in free for above, below in wanted if above < lane < (below or _END)}
        within = json.dumps([(above, below or _END) for above, below in wanted])
        for statement in (self._waiting_in, self._slotted_in):
            found.update(lane for (lane,) in connection.execute(statement, (within, limit)))
        return sorted(found)

    @page
    def _look_at(
        self, connection: sqlite3.Connection, lanes: Sequence[str], cap: int
    ) -> list[LaneInfo]:
        free = self._free_lines(connection, lanes)
        lines = [line for lane in lanes for line in free.get(lane, ())]
        of_free = self.keyless.stand(connection, lines, cap)
        rows = connection.execute(self._stands, (json.dumps(lanes), cap)).fetchall()
        stands = {lane: _Stand(*rest) for lane, *rest in rows}
        for lane, stand in stands.items():
            free_ones = sum(each.waiting for each in of_free.get(lane, ()))
            stand.in_line = min(stand.in_line + free_ones, cap)
        waits = [lane for lane, each in stands.items() if each.waits]
        turns = self._first_turns_of(connection, waits, of_free)
        return [stands[lane].info(lane, turns.get(lane)) for lane in lanes]

    def _first_turns_of(
        self,
        connection: sqlite3.Connection,
        lanes: Sequence[str],
        of_free: Mapping[str, Sequence[FreeStand]],
    ) -> dict[str, Turn]:
        """Return whose turn it is in each of these lanes, as far as anybody waits there."""
        if not lanes:
            return {}
        found, now = dict[str, Turn](), to_ms(self.book.now())
        rows = connection.execute(self._first_turns, (json.dumps(lanes), now)).fetchall()
        for lane, *firsts in rows:
            turns = [_turn_row(first) for first in firsts if first is not None]
            turns += [each.first for each in of_free.get(lane, ()) if each.first is not None]
            for turn in _in_order(turns, 1, now):
                found[lane] = turn
        return found

    def _free_lines(
        self, connection: sqlite3.Connection, lanes: Collection[str]
    ) -> Mapping[str, Sequence[FreeLine]]:
        """Return where the free jobs stand, as far as any of these lanes may have some."""
        return {} if all(map(has_key, lanes)) else self.keyless.lanes(connection)

    def _ordered(
        self,
        connection: sqlite3.Connection,
        lane: str,
        free: Sequence[FreeLine],
        limit: int,
        now: int,
    ) -> list[Turn]:
        """Return whose turn it is: what is due first, and else what will be."""
        turns = connection.execute(self._due_turns, (lane, limit, now)).fetchall()
        turns += self.keyless.turns(connection, free, limit)
        if sum(row[1] <= now for row in turns) < limit:
            rows = connection.execute(self._turns, (lane, limit)).fetchall()
            turns += [row for row in rows if row[1] > now]
        return _in_order(turns, limit, now)

    @page
    def _members(
        self, connection: sqlite3.Connection, lane: str, limit: int
    ) -> tuple[list[ObjectId], list[ObjectId]]:
        slotted = connection.execute(self._of_slots, (lane, limit)).fetchall()
        free = self._free_lines(connection, [lane]).get(lane, ())
        turns = self._ordered(connection, lane, free, limit, to_ms(self.book.now()))
        return [ObjectId(row[0]) for row in slotted], [turn.id for turn in turns]


TurnRow: TypeAlias = tuple[int, int, bytes, str]
"""Urgency, time, id and name of a job that waits."""


@dataclass(slots=True)
class _Stand:
    """What one row tells of a lane."""

    running: int
    admitted: str | None
    """The first that was let in, as JSON."""
    stopped: str | None
    """The id of what stops it, in hex."""
    in_line: int
    parked: int

    @property
    def waits(self) -> bool:
        """True where it is somebody's turn whom nobody has let in."""
        return self.admitted is None and bool(self.in_line or self.parked)

    def info(self, lane: str, turn: Turn | None) -> LaneInfo:
        """Return it; turn: whose it is."""
        if self.admitted is not None:
            id, name, at = json.loads(self.admitted)
            turn = Turn(ObjectId(id), name, from_ms(at))
        return LaneInfo(
            lane,
            running=self.running,
            in_line=self.in_line,
            parked=self.parked,
            next=turn,
            stopped_by=None if self.stopped is None else ObjectId(self.stopped),
        )


def _turn_row(text: str) -> TurnRow:
    urgency, at, id, name = json.loads(text)
    return urgency, at, bytes.fromhex(id), name


def _in_order(rows: Sequence[TurnRow], limit: int, now: int) -> list[Turn]:
    """Return whose turn it is: what is due by its urgency, then what will be by its time."""
    due = sorted(row for row in rows if row[1] <= now)
    later = sorted((row for row in rows if row[1] > now), key=itemgetter(1, 0, 2))
    return [Turn(ObjectId(id), name, from_ms(at)) for _, at, id, name in [*due, *later][:limit]]


def _waiting_statement(lane: str) -> str:
    """Return what gives the lanes in which anybody waits, by jumps: of each bound of ?1, ?2."""
    return f"""
        WITH RECURSIVE found(lane, below, number) AS (
            SELECT (
                SELECT min(lane) FROM {lane} WHERE lane>json_extract(given.value,'$[0]')
                    AND lane<json_extract(given.value,'$[1]') AND {IN_LANE}
            ), json_extract(given.value,'$[1]'), 1 FROM json_each(?1) AS given
            UNION ALL
            SELECT (
                SELECT min(lane) FROM {lane}
                WHERE lane>found.lane AND lane<found.below AND {IN_LANE}
            ), below, number+1 FROM found WHERE found.lane IS NOT NULL AND number<?2
        )
        SELECT lane FROM found WHERE lane IS NOT NULL"""


def _slotted_statement(slots: str) -> str:
    """Return what gives the lanes in which anybody has a slot, likewise.

    The next slot of another lane is behind the colon, which follows the digits of the others.
    """
    lane = f"(SELECT lane FROM {slots} WHERE slot=found.slot AND {SLOTTED})"
    return f"""
        WITH RECURSIVE found(slot, below, number) AS (
            SELECT (
                SELECT min(slot) FROM {slots} WHERE slot>json_extract(given.value,'$[0]')
                    AND slot<json_extract(given.value,'$[1]') AND {SLOTTED}
            ), json_extract(given.value,'$[1]'), 1 FROM json_each(?1) AS given
            UNION ALL
            SELECT (
                SELECT min(slot) FROM {slots}
                WHERE slot>max(found.slot, {lane}||'#:') AND slot<found.below AND {SLOTTED}
            ), below, number+1 FROM found WHERE found.slot IS NOT NULL AND number<?2
        )
        SELECT {lane} FROM found WHERE slot IS NOT NULL"""


def _stands_statement(slots: str, lane: str) -> str:
    """Return what tells how each lane of ?1 stands, each count up to ?2."""
    own = "given.value"
    of_slots = f"""
        SELECT id, status, name, coalesce(due, scheduled_for) AS at, ready FROM {slots}
        WHERE slot>{own}||'#' AND slot<{own}||'$' AND {SLOTTED} AND lane={own} LIMIT ?2"""
    waiting = f"SELECT 1 FROM {lane} WHERE lane={own} AND {IN_LANE} AND parked"
    return f"""
        SELECT {own},
            (SELECT count(*) FROM ({of_slots}) WHERE status='running'),
            (SELECT json_array(hex(id), name, at) FROM ({of_slots})
                WHERE status IN ('pending','paused') ORDER BY coalesce(ready, 0) LIMIT 1),
            (SELECT hex(id) FROM ({of_slots}) WHERE status='errored' LIMIT 1),
            (SELECT count(*) FROM ({waiting} IS NULL LIMIT ?2)),
            (SELECT count(*) FROM ({waiting}>'' LIMIT ?2))
        FROM json_each(?1) AS given"""


def _first_turns_statement(lane: str) -> str:
    """Return what gives whose turn it is in each lane of ?1: of what is due at ?2, and at all."""
    row = "json_array(urgency, due, hex(id), name)"
    due = _each_reason(lane, "given.value", "1", "AND due<=?2")
    all = _each_reason(lane, "given.value", "1", "AND due>?2")
    return f"""
        SELECT given.value,
            (SELECT {row} FROM ({due}) ORDER BY urgency, due, id LIMIT 1),
            (SELECT {row} FROM ({all}) ORDER BY due, urgency, id LIMIT 1)
        FROM json_each(?1) AS given"""


def _each_reason(lane: str, own: str, limit: str, condition: str = "") -> str:
    """Return what selects the first ones of a lane of each reason to be parked, and of none."""
    reasons = ("NULL" if reason is None else f"'{reason}'" for reason in _REASONS)
    firsts = (
        f"""
        SELECT * FROM (
            SELECT -priority AS urgency, due, id, name FROM {lane}
            WHERE lane={own} AND parked IS {reason} AND {IN_LANE} AND slot IS NULL {condition}
            ORDER BY priority DESC, due, id LIMIT {limit})"""
        for reason in reasons
    )
    return " UNION ALL ".join(firsts)
