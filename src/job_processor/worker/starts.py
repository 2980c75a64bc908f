"""Starts by a rate, where no claim asks for them: of `run_job`; and what is said of a rate."""

from __future__ import annotations

import asyncio
import contextlib

from job_processor.errors import StoreError
from job_processor.handlers.rates import Rate
from job_processor.jobs.rates import KIND, lane_of, pace_of, present_rate
from job_processor.settings import RATE_ASKED_AGAIN
from job_processor.store.rates import Reservation
from job_processor.store.tokens import keyed, lane_id
from job_processor.worker.engine import Engine


def warn_of_clock(engine: Engine, group: str, reservation: Reservation) -> None:
    """Say that a lane was further ahead than its rate explains."""
    if reservation.ahead:
        _warn(engine, group, reservation.ahead)


def _warn(engine: Engine, what: str, ahead: float) -> None:
    engine.logger.warning(
        "the rate of %r was %.0f s ahead of the database's clock, which must have been wrong; it "
        "continues from the present time",
        what,
        ahead,
    )


def warn_of_clocks(engine: Engine) -> None:
    """Say so of lanes of a key, as far as it was noted."""
    wrong = engine.store.tokens.book.wrong
    while wrong:
        lane, ahead = wrong.popitem()
        _warn(engine, lane, ahead)


def used_up(rate: Rate | None) -> str:
    """Return why a job was skipped."""
    return f"the rate of {rate} was used up"


async def may_start(engine: Engine, group: str, defined: Rate) -> bool:
    """Wait until one job of a group may start here and now; False where it is to be skipped.

    It counts as a start. Others that wait may be faster: who comes first has no right to be next.
    """
    while True:
        setting = (await engine.store.settings.all(KIND)).get(group)
        pace = pace_of(present_rate(defined, setting))
        reservation = await engine.store.rates.reserve(lane_of(group), pace, 1)
        warn_of_clock(engine, group, reservation)
        if reservation.granted or defined.on_full == "skip":
            return reservation.granted > 0
        await asyncio.sleep(min(max(reservation.wait, 0.0), RATE_ASKED_AGAIN))


async def may_start_in(engine: Engine, lane: str, group: str, defined: Rate) -> bool:
    """Do the same in the lane of a key: it gets a date behind those who have one already."""
    rates, name = engine.store.rates, lane_id(lane)
    while True:
        setting = (await engine.store.settings.all(KIND)).get(group)
        pace, skips = keyed(present_rate(defined, setting))
        reservation = await rates.reserve(name, pace, 1)
        warn_of_clock(engine, lane, reservation)
        if reservation.granted:
            wait = (reservation.dates(pace)[0] - reservation.now) / 1000.0
            if wait <= 0 or await _waited(engine, name, reservation, wait):
                return True
        elif skips:
            return False
        else:
            await asyncio.sleep(min(max(reservation.wait, 0.0), RATE_ASKED_AGAIN))


async def _waited(engine: Engine, lane: str, reservation: Reservation, wait: float) -> bool:
    """Wait for a date; False where the lane is held by then."""
    rates = engine.store.rates
    try:
        await asyncio.sleep(wait)
    except asyncio.CancelledError:
        with contextlib.suppress(StoreError):  # then it is lost
            await rates.give_back(lane, reservation, 1)
        raise
    state = (await rates.states(1, lane)).get(lane)
    return state is None or state.held_for <= 0
