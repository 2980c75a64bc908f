"""Tokens: starts of a lane whose rate has a key, and how a job waits for one.

A job of such a lane waits in one of four ways. In line, and nobody has asked for it yet. Parked for
a token: those before it have what there is. Dated: it has a token, and stands in line at its date,
so it is its own timer. Or it is the next one: without a token, at the moment from which on there
may be any; that is so where no dated one is left to let others follow.

Whoever takes a dated job, or the next one, out of its line writes that first, and then looks
whether one is parked that may follow; whoever parks one does the same. So a lane that has parked
jobs has one in line, and a backlog of any length is touched when a job of it is met, when it gets
its date, and when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import NamedTuple

from job_processor.clock import Clock
from job_processor.handlers.lanes import group_of
from job_processor.handlers.rates import Rate
from job_processor.store.rates import KEYED_RATE, Pace, Reservation

FOLLOWERS = 3
"""Jobs of a lane that may get a date where one has left its line: more than one, so that a lane
whose dates have passed, or that was held, has as many again after a while as it may."""


class KeyedRate(NamedTuple):
    """How fast the jobs of each lane of a group may start."""

    pace: Pace
    skips: bool = False
    """True where what may not start now never does."""


class Answer(NamedTuple):
    """What becomes of a job that was met in line."""

    starts: bool = False
    date: int | None = None
    """Of its token, where it may start later."""
    wait: float = 0.0
    """Seconds until there may be a token, where it got none."""
    too_soon: bool = False
    """True for one that was met before its date, by a clock that is not the database's."""
    took: bool = False
    """True for one that has one of the tokens that were just reserved."""


@dataclass(slots=True)
class RateBook:
    """The rates with a key that hold here, by group, and whose jobs may get a date."""

    rates: Callable[[], Mapping[str, KeyedRate]] = field(default=dict)
    names: Callable[[], Collection[str]] = field(default=tuple)
    """The names of the jobs that some worker will claim once they are dated."""
    now: Callable[[], datetime] = Clock().now

    wrong: dict[str, float] = field(default_factory=dict)
    """Lanes that were further ahead than their rate explains, and by how many seconds: a clock was
    wrong. Whoever says so takes them out."""

    def of(self, lane: str | None) -> KeyedRate | None:
        """Return the rate of a lane; None: it has none here."""
        return None if lane is None else self.rates().get(group_of(lane))

    def __bool__(self) -> bool:
        return bool(self.rates())


def asks_at(reserved: Reservation) -> int:
    """Return when the next one is to ask, where a lane has granted nothing."""
    return ceil(reserved.now + 1000.0 * max(reserved.wait, 0.0))


def answers(dates: Sequence[float | None], reserved: Reservation, pace: Pace) -> list[Answer]:
    """Return what becomes of jobs of a lane that were met in line, by their dates.

    The dates that were reserved go to those that have none, or are too late with it, in their
    order; some of them may be left.
    """
    moments = iter(reserved.dates(pace))
    return [_answer(date, moments, reserved, pace) for date in dates]


def _answer(
    date: float | None, moments: Iterator[float], reserved: Reservation, pace: Pace
) -> Answer:
    if date is not None and not reserved.held:
        if pace.is_to_come(date, reserved.now):
            return Answer(too_soon=True)
        if pace.is_kept(date, reserved.now):
            return Answer(starts=True)
    moment = next(moments, None)
    if moment is None:
        return Answer(wait=reserved.wait)
    starts = moment <= reserved.now
    return Answer(starts, None if starts else int(moment), took=True)


def lane_id(lane: str) -> str:
    """Return the name by which the desk of the rates knows the lane of a job."""
    return KEYED_RATE + lane


def keyed(rate: Rate) -> KeyedRate:
    """Return how fast the lanes of a rate may start; one that skips gives no dates."""
    skips = rate.on_full == "skip"
    return KeyedRate(Pace.of(rate.amount, rate.seconds, rate.at_once, dates=not skips), skips)


class Paces:
    """How fast the lanes of rates may start, worked out once for what is returned again."""

    def __init__(self, rates: Callable[[], Mapping[str, Rate]]) -> None:
        self._rates = rates
        self._known: Mapping[str, Rate] = {}
        self._paces: Mapping[str, KeyedRate] = {}

    def __call__(self) -> Mapping[str, KeyedRate]:
        """Return them by group."""
        rates = self._rates()
        if rates is not self._known:
            self._known, self._paces = rates, {name: keyed(each) for name, each in rates.items()}
        return self._paces
