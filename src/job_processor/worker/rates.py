"""The rates of a worker's names: how many may start now, and when the others may.

Starts are reserved in the database before a claim, and the claim asks for no more than were
granted. A name whose starts are used up is left out of the claims until its time has come, however
much of it waits: nothing is asked meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from bson import ObjectId

from job_processor.handlers.definitions import Definition
from job_processor.handlers.rates import Rate
from job_processor.jobs.rates import lane_of, pace_of
from job_processor.models import Job
from job_processor.settings import (
    BURST_WAITS,
    CLAIM_NAMES,
    RATE_ASKED_AGAIN,
    RATE_GATHER,
)
from job_processor.store.rates import Pace, Reservation
from job_processor.worker.engine import Engine
from job_processor.worker.rate_watch import RateWatch
from job_processor.worker.starts import warn_of_clock
from job_processor.worker.watching import SettingsWatch

_DIVISIONS = 100
"""Sets of names of which it is kept how they are divided."""


@dataclass(slots=True)
class Lane:
    """Names that share a rate, as this worker knows it."""

    group: str
    rate: Rate
    names: tuple[str, ...]
    pace: Pace
    free_at: float = -inf
    """When one may start again, as far as is known; by the monotonic clock."""
    asked_again_at: float = -inf
    """When the database is asked again: then, or sooner, since others may give starts back."""
    more: bool = False
    """True when the last claim brought all that it might: there is probably more."""

    @property
    def skips(self) -> bool:
        """True where what may not start now never does."""
        return self.rate.on_full == "skip"

    def is_full(self, at: float) -> bool:
        """True where no start was to be had at a moment, and what has none is to wait."""
        return at < self.asked_again_at and not self.skips

    @property
    def until_free(self) -> timedelta:
        """How long it takes until one may start, as far as is known."""
        return timedelta(seconds=max(self.free_at - time.monotonic(), 0.0))

    def take(self, reservation: Reservation) -> None:
        """Learn when the next start may be."""
        now = time.monotonic()
        # Where starts come quickly, a few are waited for: none is lost by that, and fewer questions
        # are asked.
        gathered = min(RATE_GATHER, self.pace.tolerance / 2000.0)
        wait = max(reservation.wait, gathered) if reservation.wait > 0 else 0.0
        self.free_at = now + wait
        self.asked_again_at = now + min(wait, RATE_ASKED_AGAIN)

    def open(self) -> None:
        """Forget when the next start may be: it has changed."""
        self.free_at = self.asked_again_at = -inf


@dataclass(slots=True)
class Batch:
    """What one claim asks for: names, and what their rate has granted."""

    names: tuple[str, ...]
    lane: Lane | None = None
    reservation: Reservation | None = field(default=None, init=False)
    left: int = field(default=0, init=False)
    """How many may start still."""
    refused: Mapping[ObjectId, float] = field(default_factory=dict, init=False)
    """Jobs whose own lanes do not let them start, and in how many seconds these might."""
    more: bool = field(default=False, init=False)
    """True where others stand behind those that the last claim has looked at."""

    def refuses(self, job: Job) -> timedelta | None:
        """Return in what time a job may start that may not now; None: now, and that is counted."""
        if self.lane is None:
            wait = self.refused.get(job.id) if self.refused else None
            return None if wait is None else timedelta(seconds=max(wait, 0.0))
        self.left -= 1
        return None if self.left >= 0 else self.lane.until_free


class Rates:
    """The lanes of a worker."""

    def __init__(self, engine: Engine, watch: RateWatch, pauses: SettingsWatch) -> None:
        self._engine = engine
        self._watch = watch
        for each in (watch, pauses):
            each.on_changed(self._on_changed)
        self._divisions: dict[tuple[str, ...], tuple[list[Batch], list[Lane]]] = {}
        """By names: the batches of those without a rate, and the lanes of the others."""
        self.lanes: dict[tuple[str, tuple[str, ...]], Lane] = {}
        """By group and names; empty where no name has a rate."""
        self._looked_at = -inf
        """When the open ones were chosen: what was full then has not been looked at since."""

    def present(self, definition: Definition, name: str) -> Rate | None:
        """Return the rate that holds for a definition."""
        rate = definition.rate_limit
        return None if rate is None else self._watch.present(rate.group or name, rate)

    def plain(self, names: tuple[str, ...]) -> list[Batch]:
        """Return what to claim of those of these names that have no rate."""
        return self._divided(names)[0]

    async def open_batches(self, names: tuple[str, ...]) -> list[Batch]:
        """Return what to claim of those that have one, each lane by itself.

        It is left out while nothing of it may start or, as far as one question tells, is due.
        """
        self._looked_at = now = time.monotonic()
        open_lanes = [lane for lane in self._divided(names)[1] if not lane.is_full(now)]
        due = [lane for lane in open_lanes if lane.more]
        asked = [lane for lane in open_lanes if not lane.more]
        if asked and await self._is_due(asked):
            due += [lane for lane in asked if len(asked) == 1 or await self._is_due([lane])]
        return [Batch(lane.names, lane) for lane in due]

    async def reserve(self, batch: Batch, lane: Lane, limit: int) -> int:
        """Reserve starts for a batch of a lane; return how many jobs to claim for it."""
        batch.reservation = await self._reserve(lane, min(limit, lane.pace.burst))
        batch.left = batch.reservation.granted
        return limit if lane.skips else batch.left

    async def give_back(self, batch: Batch, lane: Lane, *, more: bool) -> None:
        """Give back the starts that were not used; `more`: there may be more to be claimed."""
        lane.more = more
        if batch.reservation is not None and batch.left > 0:
            lane.open()
            name = lane_of(lane.group)
            await self._engine.store.rates.give_back(name, batch.reservation, batch.left)

    def open_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the names of which something may start, or is skipped."""
        _, lanes = self._divided(names)
        now = time.monotonic()
        full = {name for lane in lanes if lane.is_full(now) for name in lane.names}
        return tuple(name for name in names if name not in full) if full else names

    def until_next(self) -> float:
        """Return the seconds until a lane that is full may go on."""
        waiting = [lane.asked_again_at for lane in self._full()]
        return max(min(waiting, default=inf) - time.monotonic(), 0.0)

    async def is_worth_waiting(self) -> bool:
        """True where something that is due may start soon, so that a burst waits for it."""
        soon = time.monotonic() + BURST_WAITS
        waiting = [lane for lane in self._full() if lane.free_at <= soon]
        if waiting and await self._is_due(waiting):
            return True
        return await self._has_dates()

    async def _has_dates(self) -> bool:
        """True where something that has its own lane is to start soon."""
        engine, names = self._engine, list(self._watch.names_with_key())
        if not names or not await engine.store.lanes.parked(names, 1):
            return False
        ready = await engine.store.lanes.next_ready(names)
        soon = engine.clock.now() + timedelta(seconds=BURST_WAITS)
        return ready is not None and ready <= soon

    def _full(self) -> list[Lane]:
        """Return the lanes that were full when they were looked at."""
        return [lane for lane in self.lanes.values() if lane.is_full(self._looked_at)]

    def _divided(self, names: tuple[str, ...]) -> tuple[list[Batch], list[Lane]]:
        found = self._divisions.get(names)
        if found is None:
            if len(self._divisions) > _DIVISIONS:  # names come and go as they are paused
                self._on_changed()
            found = self._divisions[names] = self._divide(names)
        return found

    def _divide(self, names: tuple[str, ...]) -> tuple[list[Batch], list[Lane]]:
        rated: set[str] = set()
        lanes: list[Lane] = []
        for group, (defined, sharing) in self._engine.registry.rates.items():
            if defined.key is not None:  # the lanes of its jobs let them start, or do not
                continue
            own = tuple(name for name in names if name in sharing)
            rated.update(own)
            for part in _parts(own):
                rate = self._watch.present(group, defined)
                lane = Lane(group, rate, part, pace_of(rate))
                lanes.append(self.lanes.setdefault((group, part), lane))
        if lanes:
            self._watch.needed.set()
        plain = tuple(name for name in names if name not in rated) if rated else names
        return [Batch(part) for part in _parts(plain)], lanes

    async def _reserve(self, lane: Lane, count: int) -> Reservation:
        engine = self._engine
        reservation = await engine.store.rates.reserve(lane_of(lane.group), lane.pace, count)
        warn_of_clock(engine, lane.group, reservation)
        lane.take(reservation)
        return reservation

    async def _is_due(self, lanes: Iterable[Lane]) -> bool:
        engine, names = self._engine, [name for lane in lanes for name in lane.names]
        due = await engine.store.queue.next_due(names)
        if due is not None and due <= engine.clock.now():
            return True
        limited = [name for name in names if engine.registry.limited(name)]
        ready = await engine.store.lanes.next_ready(limited) if limited else None
        return ready is not None and ready <= engine.clock.now()

    def _on_changed(self) -> None:
        self._divisions.clear()
        self.lanes.clear()


def _parts(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return names in parts that one claim may ask for."""
    return [names[start : start + CLAIM_NAMES] for start in range(0, len(names), CLAIM_NAMES)]
