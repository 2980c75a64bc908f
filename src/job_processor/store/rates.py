"""Lanes: what shares a rate, and when the next start of each may be.

The generic cell rate algorithm (GCRA): of each lane one number is kept, `tat`, the moment at which
the start that comes next would be due if all came evenly. A start moves it by the interval between
two starts; one that would be earlier than the burst allows is not granted. Times are milliseconds
since 1970 by the clock of the database, in the very statement that reserves, so that no other clock
has a part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import NamedTuple

from bson import ObjectId

from job_processor.settings import LANE_KEPT, RATE_LATENESS, RATE_LOOKAHEAD

ROUNDING = 0.001
"""Milliseconds by which sums of intervals may be off."""

DATE_STEP = 1.0
"""Milliseconds to which dates are kept."""

NOTABLE = 1000.0
"""Milliseconds; a clock that was wrong by less is that of another member of a replica set."""

KEYLESS_RATE, KEYED_RATE = "rate:", "rate_key:"
"""What the lane of a rate without or with a key has before its name in the database."""

LAST_CHARACTER = "\U0010ffff"
"""No name has it: what begins with another text comes before that text and this."""

SPARE = 3_600_000.0
"""Milliseconds for which a lane is kept once it says nothing more: clocks step back."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the starts of a lane may follow each other."""

    interval: float
    """Milliseconds from one start to the next where they come evenly."""
    burst: int
    """Starts that may come at once after a pause."""
    reach: float = 0.0
    """Milliseconds from now in which starts are granted that are to come: a date is given for each.
    0: only what may start now is granted."""

    @classmethod
    def of(cls, amount: int, per: float, burst: int, *, dates: bool = False) -> Pace:
        """Return the pace of so many starts in `per` seconds; with `dates`, those to come too."""
        interval = per * 1000.0 / amount
        return cls(interval, burst, _reach(interval, burst) if dates else 0.0)

    @property
    def tolerance(self) -> float:
        """Milliseconds by which a start may be earlier than an even pace has it."""
        return (self.burst - 1) * self.interval

    @property
    def lateness(self) -> float:
        """Milliseconds by which one may be late without delaying those that follow.

        A worker wakes some milliseconds late. Where no burst makes up for that, each such delay
        would be lost for good. It is less than an interval, so that no window has more starts.
        """
        return max(min(self.interval / 2, RATE_LATENESS * 1000.0) - self.tolerance, 0.0)

    @property
    def respite(self) -> float:
        """Milliseconds by which what follows the first starts after a pause comes later.

        A handler begins some milliseconds after its start was reserved. Where many start in that
        time, those that follow a burst would begin too close to it.
        """
        return max(min(RATE_LATENESS * 1000.0 - self.interval, self.tolerance), 0.0)

    @property
    def changed_horizon(self) -> float:
        """The same where it was slower before: dates further away than that are given anew."""
        near = min(self.reach, RATE_LOOKAHEAD * 1000.0)
        return self.burst * self.interval + self.respite + near

    @property
    def farthest(self) -> float:
        """Milliseconds from now behind which a date comes from a clock that was wrong.

        Or from another rate, whose dates of the next seconds stand.
        """
        return self.reach + RATE_LOOKAHEAD * 1000.0

    def is_to_come(self, date: float, now: float) -> bool:
        """True for a date for which it is too soon."""
        return 0 < date - now <= self.farthest

    def is_kept(self, date: float, now: float) -> bool:
        """True for a start of this date that is not too late yet to be one.

        It may be late as long as an even pace would have it no later than one interval ago: so no
        window has more starts. A later one is reserved anew.
        """
        return 0 <= now - date < self.tolerance + self.interval - DATE_STEP

    @property
    def horizon(self) -> float:
        """Milliseconds that `tat` is ahead of the clock at the most."""
        return self.burst * self.interval + self.respite + self.reach


def _reach(interval: float, burst: int) -> float:
    # No more dates than a burst: whoever is too late for its own then finds a start at once, so
    # that workers who are late with everything lose none.
    return min(max(1.0, RATE_LOOKAHEAD * 1000.0 // interval), float(burst)) * interval


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a lane granted."""

    granted: int
    """Starts that may be now."""
    wait: float
    """Seconds until one more may be; 0 or less: at once."""
    tat: float
    interval: float
    """By which it is given back."""
    ahead: float = 0.0
    """Seconds by which the lane was further ahead than its pace explains: a clock was wrong."""
    now: float = 0.0
    first: float = 0.0
    """When the first granted one would be due if all came evenly."""
    held: bool = False
    """True where nothing was granted because the lane is held."""
    id: str = ""
    """By which the lane remembers it: see `Grant`."""

    def dates(self, pace: Pace) -> list[float]:
        """Return from when on each of them may be, in milliseconds, the first first.

        They are whole: databases keep no other moments.
        """
        respite = self.tat - self.first - self.granted * self.interval
        due = (
            self.first + i * self.interval + (respite if i >= pace.burst else 0.0)
            for i in range(self.granted)
        )
        return [float(ceil(each - pace.tolerance - ROUNDING)) for each in due]


class Grant(NamedTuple):
    """One of the last reservations of a lane that were granted anything."""

    id: str
    slack: float
    """Milliseconds by which its starts may be told to have been due earlier than they were: none
    is due before it was granted, which is what keeps each window to its starts."""


GRANTS_KEPT = 16
"""The last ones, which a lane remembers. What an earlier one did not use is lost."""


def new_id() -> str:
    """Return the id of a reservation to be."""
    return str(ObjectId())


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane as it is kept; one that is not there is a new one."""

    tat: float = 0.0
    held_until: float = 0.0
    """No start before it, whatever the pace."""
    held_for: float = 0.0
    """Milliseconds for which it was held: it cannot be held for longer from any moment on."""
    interval: float = 0.0
    burst: int = 0
    """The pace by which it was reserved last."""
    grants: tuple[Grant, ...] = ()
    """The last ones, the latest last."""

    def reserved(
        self, pace: Pace, count: int, now: float, id: str = ""
    ) -> tuple[Lane, Reservation]:
        """Return the lane with up to `count` more starts, and what was granted.

        One that is further ahead than its pace explains goes no further than that: its clock was
        wrong, or it was slower before.
        """
        held = min(self.held_until, now + self.held_for)
        same = (self.interval, self.burst) == (pace.interval, pace.burst)
        furthest = now + (pace.horizon if same else pace.changed_horizon)
        goes_on = self.tat >= now - pace.lateness
        start = min(self.tat if goes_on else now, furthest)
        last = now + pace.reach + pace.tolerance
        free = floor((last - start + ROUNDING) / pace.interval) + 1
        granted = 0 if held > now else max(0, min(count, free))
        tat = start + granted * pace.interval + (0.0 if goes_on or not granted else pace.respite)
        wait = max(held, tat - pace.tolerance) - now
        ahead = self.tat - furthest if same else 0.0
        grants = self.grants
        if granted:
            grants = (*grants, Grant(id, max(start - now, 0.0)))[-GRANTS_KEPT:]
        lane = Lane(tat, held, self.held_for, pace.interval, pace.burst, grants)
        wrong = ahead / 1000.0 if ahead > NOTABLE else 0.0
        return lane, Reservation(
            granted, wait / 1000.0, tat, pace.interval, wrong, now, start, held > now, id
        )

    def given_back(self, reserved: Reservation, unused: int) -> Lane | None:
        """Return the lane with so many starts of a reservation fewer; None: they are lost.

        They are the last of it, so all that was granted since moves up, as far as none of that
        would have been due before it was granted. What is too much for that is lost: the lane is
        slower then, never faster.
        """
        place = next((n for n, each in enumerate(self.grants) if each.id == reserved.id), None)
        if place is None:
            return None
        since = self.grants[place + 1 :]
        back = min((unused * reserved.interval, *(each.slack for each in since)))
        if back <= 0:
            return None
        moved = (Grant(each.id, each.slack - back) for each in since)
        return replace(self, tat=self.tat - back, grants=(*self.grants[:place], *moved))

    def held(self, seconds: float, now: float, *, at_least: bool) -> Lane:
        """Return the lane held for so long; with `at_least`, no shorter than it is held already."""
        length = seconds * 1000.0
        before = min(self.held_until, now + self.held_for)
        if at_least and before >= now + length:
            return self
        return replace(self, held_until=now + length, held_for=length)

    def state(self, now: float, *, dates: bool = False) -> LaneState:
        """Return how it stands; `dates`: of a rate with a key."""
        held = max(min(self.held_until - now, self.held_for), 0.0)
        if self.interval <= 0:
            return LaneState(held / 1000.0, held / 1000.0, None)
        pace = Pace(self.interval, self.burst, _reach(self.interval, self.burst) if dates else 0.0)
        ahead = min(self.tat - now, pace.horizon)
        return LaneState(max(held, ahead - pace.tolerance) / 1000.0, held / 1000.0, pace)

    def kept_until(self, now: float) -> float:
        """Return until when it is kept: from then on it says no more than a new one.

        At most `LANE_KEPT` from now, which a date of every database can tell.
        """
        return min(max(self.tat, self.held_until, now) + SPARE, now + LANE_KEPT * 1000.0)


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a lane stands, by the database's clock."""

    next_start: float
    """Seconds until one may start; 0 or less: now. By the pace at which it was reserved last."""
    held_for: float
    """Seconds for which it is held still; 0: it is not."""
    pace: Pace | None
    """The one by which it was reserved last; None where it never was."""
