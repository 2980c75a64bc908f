"""How lanes stand, for who looks at them: what runs there, what waits, and whose turn it is.

The index of the slots tells what runs and what was let in, that of the lanes what waits, but for
what is free in lanes without a key: see `keyless`. Each lane is found by a jump behind the one
before, and each count stops at its cap: nothing here costs more where more waits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.handlers.lanes import has_key
from job_processor.models import WAITS_FOR
from job_processor.store.desks.lanes import Lanes
from job_processor.store.lanes import Bounds, LaneInfo, Turn
from job_processor.store.sqlite.connections import Plumbing, SqliteDesk, page
from job_processor.store.sqlite.keyless import FreeLine, Keyless
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
        self._next_in_use = f"""
            SELECT min(lane) FROM {lane} WHERE lane>? AND lane<? AND {IN_LANE}"""
        self._next_slot = f"""
            SELECT lane, slot FROM {slots} WHERE slot>? AND slot<? AND {SLOTTED}
            ORDER BY slot LIMIT 1"""
        self._of_slots = f"""
            SELECT id, status, name, coalesce(due, scheduled_for), ready FROM {slots}
            WHERE slot>?1||'#' AND slot<?1||'$' AND {SLOTTED} AND lane=?1 LIMIT ?2"""
        self._in_line_of = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {lane} WHERE lane=? AND parked IS NULL AND {IN_LANE} LIMIT ?)"""
        self._parked_in = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {lane} WHERE lane=? AND parked>'' AND {IN_LANE} LIMIT ?)"""
        self._turns = _each_reason(lane, "")
        self._due_turns = _each_reason(lane, "AND due<=?3")

    @page
    def _in_use(
        self, connection: sqlite3.Connection, bounds: Sequence[Bounds], limit: int
    ) -> list[str]:
        found: set[str] = set()
        free = sorted(self.keyless.lanes(connection))
        for each in bounds:
            found.update(lane for lane in free if each.above < lane < (each.below or _END))
            found.update(self._waiting_within(connection, each, limit))
            found.update(self._slotted_within(connection, each, limit))
        return sorted(found)

    def _waiting_within(
        self, connection: sqlite3.Connection, bounds: Bounds, limit: int
    ) -> Iterator[str]:
        last, end = bounds.above, bounds.below or _END
        for _ in range(limit):
            (lane,) = connection.execute(self._next_in_use, (last, end)).fetchone()
            if lane is None:
                return
            yield lane
            last = lane

    def _slotted_within(
        self, connection: sqlite3.Connection, bounds: Bounds, limit: int
    ) -> Iterator[str]:
        last, end = bounds.above, bounds.below or _END
        for _ in range(limit):
            row = connection.execute(self._next_slot, (last, end)).fetchone()
            if row is None:
                return
            lane, slot = row
            yield lane
            last = max(slot, f"{lane}#:")  # the colon follows the digits of the other slots

    @page
    def _look_at(
        self, connection: sqlite3.Connection, lanes: Sequence[str], cap: int
    ) -> list[LaneInfo]:
        now, free = to_ms(self.book.now()), self._free_lines(connection, lanes)
        return [self._stand(connection, lane, free.get(lane, ()), cap, now) for lane in lanes]

    def _free_lines(
        self, connection: sqlite3.Connection, lanes: Collection[str]
    ) -> Mapping[str, Sequence[FreeLine]]:
        """Return where the free jobs stand, as far as any of these lanes may have some."""
        return {} if all(map(has_key, lanes)) else self.keyless.lanes(connection)

    def _stand(
        self,
        connection: sqlite3.Connection,
        lane: str,
        free: Sequence[FreeLine],
        cap: int,
        now: int,
    ) -> LaneInfo:
        slotted = connection.execute(self._of_slots, (lane, cap)).fetchall()
        admitted = [row for row in slotted if row[1] in ("pending", "paused")]
        stopping = [ObjectId(row[0]) for row in slotted if row[1] == "errored"]
        (in_line,) = connection.execute(self._in_line_of, (lane, cap)).fetchone()
        in_line += self.keyless.count(connection, free, cap - in_line)
        (parked,) = connection.execute(self._parked_in, (lane, cap)).fetchone()
        following: Turn | None = None
        if admitted:
            id, _, name, due, _ = min(admitted, key=lambda row: row[4] or 0)
            following = Turn(ObjectId(id), name, from_ms(due))
        elif in_line or parked:
            following = next(iter(self._ordered(connection, lane, free, 1, now)), None)
        return LaneInfo(
            lane,
            running=sum(row[1] == "running" for row in slotted),
            in_line=in_line,
            parked=parked,
            next=following,
            stopped_by=next(iter(stopping), None),
        )

    def _ordered(
        self,
        connection: sqlite3.Connection,
        lane: str,
        free: Sequence[FreeLine],
        limit: int,
        now: int,
    ) -> list[Turn]:
        """Return whose turn it is: what is due first, and else what will be."""
        due = connection.execute(self._due_turns, (lane, limit, now)).fetchall()
        turns = list(self.keyless.turns(connection, free, limit))
        due += [row for row in turns if row[1] <= now]
        later = [row for row in turns if row[1] > now]
        if len(due) < limit:
            rows = connection.execute(self._turns, (lane, limit)).fetchall()
            later += [row for row in rows if row[1] > now]
        rows = [*sorted(due), *sorted(later, key=lambda row: (row[1], row[0], row[2]))][:limit]
        return [Turn(ObjectId(id), name, from_ms(moment)) for _, moment, id, name in rows]

    @page
    def _members(
        self, connection: sqlite3.Connection, lane: str, limit: int
    ) -> tuple[list[ObjectId], list[ObjectId]]:
        slotted = connection.execute(self._of_slots, (lane, limit)).fetchall()
        free = self._free_lines(connection, [lane]).get(lane, ())
        turns = self._ordered(connection, lane, free, limit, to_ms(self.book.now()))
        return [ObjectId(row[0]) for row in slotted], [turn.id for turn in turns]


def _each_reason(lane: str, condition: str) -> str:
    """Return what selects the first ones of a lane of each reason to be parked, and of none."""
    reasons = ("NULL" if reason is None else f"'{reason}'" for reason in _REASONS)
    firsts = (
        f"""
        SELECT * FROM (
            SELECT -priority, due, id, name FROM {lane}
            WHERE lane=?1 AND parked IS {reason} AND {IN_LANE} AND slot IS NULL {condition}
            ORDER BY priority DESC, due, id LIMIT ?2)"""
        for reason in reasons
    )
    return " UNION ALL ".join(firsts)
