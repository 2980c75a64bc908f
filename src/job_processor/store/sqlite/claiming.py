"""One claim of lanes in SQLite, within its transaction: what is met in line starts, or waits on."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.handlers.lanes import has_key
from job_processor.models import DATED, Job
from job_processor.store.lanes import LaneClaim, lines_of
from job_processor.store.sqlite.keyless import FreeLine

if TYPE_CHECKING:
    from job_processor.store.sqlite.lanes import SqliteLanes

MERGED_LINES = 64
"""Lines that one statement merges at most."""

_LOOKED_AT = 32
"""Jobs of one look, where a claim wants fewer."""


class Next(NamedTuple):
    """A job that may be the next of its lane; the smallest is."""

    urgency: int
    due: int
    id: bytes
    row: int
    name: str
    ordered: str | None
    rate_lane: str | None


class Head(NamedTuple):
    """The first of a line, of all that stand there with its priority."""

    line: str
    priority: int
    first: int
    """When it is ready, in milliseconds."""


def urgency(head: Head | FreeLine) -> tuple[int, int]:
    """Return what is least for whose turn it is."""
    return -head.priority, head.first


class Candidate(NamedTuple):
    """A job that stands in line, as a claim meets it."""

    row: int
    id: bytes
    line: str
    name: str
    lane: str | None
    slot: str | None
    ordered: str | None
    priority: int
    rate_lane: str | None = None
    parked: str | None = None
    ready: int = 0

    @property
    def date(self) -> int | None:
        """Of its token; None where it has none."""
        return self.ready if self.parked == DATED else None


class Claiming:
    """One claim of lanes, within its transaction."""

    def __init__(self, desk: SqliteLanes, connection: sqlite3.Connection, claim: LaneClaim) -> None:
        self._desk = desk
        self._connection = connection
        self._claim = claim
        self._now = to_ms(claim.now)
        self._lines = set(lines_of(claim.names))
        self._names = set(claim.names)
        """Those of which free jobs may start."""
        self._free: dict[str, list[str] | None] = {}
        """The free slots of each lane that was met; None: it needs none."""
        self._too_soon: set[bytes] = set()
        """Those that were met before their date."""
        self._dry: set[tuple[str, int]] = set()
        """Lanes of rates, with priorities, that had no token in the last look."""
        self._left: Counter[str] = Counter()
        """How many have left the line of each lane of a rate, or found no token there."""
        self._freed: set[str] = set()
        """Lanes of which a slot was given back."""
        self._starts: dict[bytes, tuple[int, str | None]] = {}
        """Who is to start, in their order: row and slot, by id."""
        self.jobs: list[Job] = []
        self.refused: dict[ObjectId, float] = {}
        self.blocked = False
        self.moved = False

    def look(self) -> bool:
        """Take what may start of the first in line; True where there may be more."""
        heads = self._desk.heads(self._connection, self._lines)
        found = self._desk.keyless.heads(self._connection, self._names)
        if self._claim.others:
            self._take_early([line for line in found.early if line[-1] <= self._now])
        free = self._where_free([line for line in found.free if line.first <= self._now])
        if heads and free and urgency(heads[0]) < urgency(free[0]):
            return self._look_along(heads) | self._take_free(free)
        return self._take_free(free) | self._look_along(heads)

    def _take_early(self, lines: Sequence[tuple[str, int, int]]) -> None:
        """Bring what is due and in no lane, for whoever knows where it is to wait."""
        limit = self._claim.limit - len(self.jobs)
        if lines and limit:
            desk, some = self._desk.keyless, lines[:MERGED_LINES]
            self.jobs += desk.claim_early(self._connection, self._claim, some, limit)

    def _where_free(self, due: list[FreeLine]) -> list[FreeLine]:
        """Return the lines where a slot is free, the most urgent first.

        Those where none is are left alone from now on.
        """
        full = [line for line in due if self._free_of(line.lane) == []]
        if full:
            self.blocked = True
            self._names.difference_update(line.name for line in full)
            due = [line for line in due if line.name in self._names]
        return sorted(due, key=urgency)[:MERGED_LINES]

    def _take_free(self, lines: Sequence[FreeLine]) -> bool:
        """Start free jobs of these lines; True where there may be more."""
        limit = self._claim.limit - len(self.jobs)
        if not lines or not limit:
            return False
        slots = {line.lane: self._free_of(line.lane) for line in lines}
        jobs = self._desk.keyless.claim(self._connection, self._claim, lines, slots, limit)
        if jobs:
            for lane in slots:
                del self._free[lane]
        self.jobs += jobs
        return bool(jobs) and len(jobs) < limit

    def _look_along(self, heads: Sequence[Head]) -> bool:
        """Take what may start of the first in line; True where there may be more."""
        if not heads or len(self.jobs) == self._claim.limit:
            return False
        wanted = max(self._claim.limit - len(self.jobs), _LOOKED_AT)
        candidates = self._desk.look(self._connection, heads, self._claim, wanted, self._too_soon)
        full: set[tuple[str, int]] = set()
        self._dry.clear()
        for candidate in candidates:
            if len(self.jobs) + len(self._starts) == self._claim.limit:
                break
            if self._is_dry(candidate) or self._take(candidate):
                continue
            if candidate.lane is not None and has_key(candidate.lane):
                full.add((candidate.lane, candidate.priority))
            else:
                self.blocked = True
                self._lines.discard(candidate.line)
        self._start_all()
        for lane, priority in full:
            self._desk.park_lane(self._connection, lane, priority, self._now)
        for lane, priority in self._dry:
            self._desk.starts.park_more(self._connection, lane, priority, self._now)
        self._hand_over()
        return len(candidates) > 0 and len(self.jobs) < self._claim.limit

    def _take(self, candidate: Candidate) -> bool:
        """Start a job, or the one of its lane whose turn it is; False where there is no slot."""
        if candidate.slot is not None:
            self._begin(candidate, candidate.slot)
            return True
        free = self._free_of(candidate.lane)
        if free is None:
            self._begin(candidate, None)
            return True
        if not free:
            self._lose_date(candidate)
            return False
        turn = candidate
        if candidate.ordered is not None and candidate.lane is not None:
            self._start_all()  # who is to start is not the next any more
            first = self._desk.next(self._connection, candidate.lane, self._now)
            if first is not None:  # else it is ready before its time
                turn = _candidate(first, candidate)
        if turn.name not in self._claim.names or ObjectId(turn.id) in self._claim.exclude:
            self._desk.admit(self._connection, turn.row, free.pop(0), self._now)
        elif self._begin(turn, free[0]):
            free.pop(0)
        return turn.row == candidate.row

    def _begin(self, turn: Candidate, slot: str | None) -> bool:
        """Start a job, or let it wait for its start; True where it has the slot from now on."""
        desk, lane = self._desk, turn.rate_lane
        rate = desk.starts.book.of(lane)
        if rate is None or lane is None:
            self._starts[turn.id] = turn.row, slot
            return True
        answer = desk.starts.ask(self._connection, lane, rate.pace, turn.date)
        if answer.too_soon:
            self._too_soon.add(turn.id)
            return False
        if turn.parked is not None:
            self._left[lane] += 1
        if answer.starts or rate.skips:
            self._starts[turn.id] = turn.row, slot
            if not answer.starts:
                self.refused[ObjectId(turn.id)] = answer.wait
            return True
        # Nothing overtakes it in a lane with an order; in any other its slot is for the next.
        kept = slot if turn.ordered is not None else None
        desk.starts.put(self._connection, turn.row, kept, answer.date)
        self.moved = True
        if answer.date is None:
            self._left[lane] += 1
            self._dry.add((lane, turn.priority))
        if turn.slot is not None and turn.lane is not None and kept is None:
            self._freed.add(turn.lane)
        return kept is not None

    def _start_all(self) -> None:
        """Start those that are to."""
        if self._starts:
            starts = list(self._starts.values())
            jobs = self._desk.start(self._connection, self._claim, starts)
            order = {job_id: number for number, job_id in enumerate(self._starts)}
            self.jobs += sorted(jobs, key=lambda job: order[job.id.binary])
            self._starts.clear()

    def _lose_date(self, candidate: Candidate) -> None:
        """Park what has its date and finds its lane full: another one may follow."""
        if candidate.rate_lane is None or candidate.parked is None:
            return
        if candidate.lane is not None and has_key(candidate.lane):
            self._desk.park_for_slot(self._connection, candidate.row)
            self._left[candidate.rate_lane] += 1

    def _is_dry(self, candidate: Candidate) -> bool:
        """True for a job whose lane had no token in this look."""
        if candidate.rate_lane is None or candidate.date is not None:
            return False
        return (candidate.rate_lane, candidate.priority) in self._dry

    def let_follow(self) -> None:
        """Let others follow those that have left their lines, or their slots."""
        desk = self._desk
        for lane, count in self._left.items():
            rate = desk.starts.book.of(lane)
            if rate is not None:
                names = desk.starts.book.names()
                followed = desk.starts.admit_in(
                    self._connection, lane, rate.pace, 2 * count + 1, names
                )
                self.moved = self.moved or followed > 0

    def _hand_over(self) -> None:
        """Let others have the slots that were given back."""
        desk = self._desk
        amounts = {lane: desk.book.amount(lane) for lane in self._freed}
        limits = {lane: amount for lane, amount in amounts.items() if amount is not None}
        if limits:
            desk.hand_over_in(self._connection, limits, desk.book.names(), self._claim.now)
        for lane in self._freed:
            self._free.pop(lane, None)
        self._freed.clear()

    def _free_of(self, lane: str | None) -> list[str] | None:
        if lane is None:
            return None
        if lane not in self._free:
            amount = self._desk.book.amount(lane)
            self._free[lane] = (
                None
                if amount is None
                else self._desk.free(self._connection, lane, amount, self._claim.limit)
            )
        return self._free[lane]


def _candidate(first: Next, met: Candidate) -> Candidate:
    """Return the job of a lane whose turn it is, as if it was met instead of another one."""
    if first.row == met.row:
        return met
    urgency, name, ordered = first.urgency, first.name, first.ordered
    place = (first.row, first.id, met.line, name, met.lane, None)
    return Candidate(*place, ordered, -urgency, first.rate_lane)
