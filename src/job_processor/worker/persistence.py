"""Calls to a database that may be away: tried again until it answers, never in a spin."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from job_processor.errors import (
    JobProcessorError,
    NotSetUpError,
    StoreError,
    StoreRefusedError,
)
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


class Trouble:
    """What fails in a row, of a task that must go on: the first is logged, and the pause grows."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._backoff = Backoff()
        self._there = False

    async def attempt(self, call: Callable[[], Awaitable[object]]) -> bool:
        """Make `call` once; False, after a pause, when it failed, whatever it raised.

        A store that was closed is none that answers again: that is raised.
        """
        try:
            await call()
        except NotSetUpError:
            raise
        except Exception as error:  # noqa: BLE001  # it is logged; whom the task serves needs it on
            await asyncio.sleep(self.meet(error))
            return False
        self.end()
        return True

    def meet(self, error: Exception, detail: str = "") -> float:
        """Log what failed, if it is the first in a row; return the seconds to pause.

        detail: follows what it is that failed, as in " of 3".
        """
        if not self._there:
            # Of an error of the database its words say all; any other may be a mistake of ours.
            known = isinstance(error, StoreError)
            self._logger.log(
                logging.WARNING if known else logging.ERROR,
                "%s%s: %s; trying again until it succeeds",
                self._what,
                detail,
                error if known else repr(error),
                exc_info=None if known else error,
            )
        self._there = True
        return self._backoff.next()

    def end(self) -> None:
        """Take a success down."""
        if self._there:
            self._logger.info("%s: the database answers again", self._what)
            self._there = False
            self._backoff.reset()


async def persist(call: Callable[[], Awaitable[T]], logger: logging.Logger, what: str) -> T:
    """Make `call` until it succeeds; every call must be harmless to repeat.

    Only what would be the same again is raised: input that can never be stored, a store that was
    closed. The first failure and the recovery are logged, the tries in between are not.
    """
    trouble = Trouble(logger, what)
    while True:
        try:
            answer = await call()
        except Exception as error:
            if not _may_pass(error):
                raise
            await asyncio.sleep(trouble.meet(error))
        else:
            trouble.end()
            return answer


def _may_pass(error: Exception) -> bool:
    """True for what the database says of no input, and for what nobody has foreseen."""
    if isinstance(error, StoreError):
        return not isinstance(error, StoreRefusedError)
    return not isinstance(error, JobProcessorError)


def is_of_input(error: Exception) -> bool:
    """True where it may be about what was asked for, so that something else may succeed."""
    if isinstance(error, NotSetUpError | OSError | MemoryError):
        return False
    return isinstance(error, StoreRefusedError) or not isinstance(error, StoreError)
