"""Calls to a database that may be away: tried again until it answers, never in a spin."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from job_processor.errors import StoreUnavailableError
from job_processor.settings import RETRY_DELAY_MAX, RETRY_DELAY_MIN

T = TypeVar("T")


class Backoff:
    """Grows the pause between tries, jittered, from `RETRY_DELAY_MIN` to `RETRY_DELAY_MAX`."""

    def __init__(self) -> None:
        self._delay = RETRY_DELAY_MIN

    @property
    def fresh(self) -> bool:
        """True before the first failure, and after a success."""
        return self._delay == RETRY_DELAY_MIN

    def next(self) -> float:
        """Return the seconds to pause before the next try."""
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(self._delay * 2, RETRY_DELAY_MAX)
        return delay

    def reset(self) -> None:
        """Start anew after a success."""
        self._delay = RETRY_DELAY_MIN


async def persist(call: Callable[[], Awaitable[T]], logger: logging.Logger, what: str) -> T:
    """Make `call` until the database answers; every call must be harmless to repeat.

    The first failure and the recovery are logged, the tries in between are not.
    """
    backoff = Backoff()
    failed = False
    while True:
        try:
            answer = await call()
        except StoreUnavailableError as error:
            if not failed:
                logger.warning("%s: %s; trying again until it succeeds", what, error)
            failed = True
            await asyncio.sleep(backoff.next())
        else:
            if failed:
                logger.info("%s: the database answers again", what)
            return answer
