"""Answers probes: whether a worker is alive, at one cheap question a second however many ask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from job_processor.errors import JobProcessorError
from job_processor.web.shared_call import SharedCall

Healthz: TypeAlias = Literal["public", "access"]
"""Whom `/healthz` answers: everybody, or whom `access` lets in."""

FRESH = 1.0
"""Seconds for which an answer holds."""

PATIENCE = 2.0
"""Seconds after which a database that has not answered counts as one that does not."""

AWAY = "the database does not answer"
IDLE = "no worker is alive"

_logger = logging.getLogger("job_processor")


class Health:
    """What was found out last, and the question that is on its way.

    Why the database does not answer, and where it is, stands in the log only: a probe has no login.
    """

    def __init__(self, count_alive: Callable[[], Awaitable[int]]) -> None:
        self._count_alive = count_alive
        self._ask = SharedCall(self._answer)
        self._known: int | None = None
        self._until = 0.0
        self._reason = ""

    async def workers(self) -> int | None:
        """Return how many workers live; None: the database does not answer."""
        if time.monotonic() < self._until:
            return self._known
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask()
        except TimeoutError:
            self._tell(self._reason or f"no answer within {PATIENCE:g} s")
            return None

    async def _answer(self) -> int | None:
        try:
            self._known = await self._count_alive()
        except JobProcessorError as error:
            self._known = None
            self._tell(str(error))
        else:
            self._reason = ""
        self._until = time.monotonic() + FRESH
        return self._known

    def _tell(self, reason: str) -> None:
        """Log why the database does not answer, once for as long as it is the same."""
        if reason != self._reason:
            self._reason = reason
            _logger.warning("healthz: the database does not answer: %s", reason)
