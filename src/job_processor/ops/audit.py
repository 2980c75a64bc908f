"""Who did what, from outside: kept in the settings by age, and logged.

An entry is written before the thing is done and completed after it. So what was begun by a process
that died, or could not be noted at its end, is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor.errors import JobStateError, StoreError
from job_processor.parts import Parts
from job_processor.settings import check_int
from job_processor.texts import told

KIND = "audit"

KEPT = timedelta(days=90)
"""How long an entry is kept, however many there are: nobody pushes out what he did before."""

DONE = "done"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did."""

    at: datetime
    who: str
    """A user, a login, or the address that it came from."""
    action: str
    subject: str
    """What it was done to."""
    outcome: str | None = DONE
    """What came of it: `done`, or more, or `refused` with the class of the error; None: it was
    begun, and is not done yet or was cut off."""


class Outcome:
    """What is being done; whoever does it says what came of it."""

    def __init__(self) -> None:
        self.told = DONE


class Audit:
    """Notes what is done."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._logger = parts.logger

    @asynccontextmanager
    async def doing(
        self, who: str, action: str, subject: str, *, once: ObjectId | None = None
    ) -> AsyncIterator[Outcome]:
        """Note what somebody does in the block, before and after it.

        once: the id of what may be done a single time; raises JobStateError, before anything is
            done, when it has been begun. A store that does not answer lets nothing be done.
        """
        begun = {
            "at": self._clock.now(),
            "who": told(who, 200),
            "action": told(action, 50),
            "subject": told(subject, 200),
            "outcome": None,
        }
        name = str(once or ObjectId())
        if not await self._store.settings.put(KIND, name, begun, None):
            raise JobStateError("this has been done already; reload the page to see the result")
        self._log(begun, "begun")
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            outcome.told = f"refused: {type(error).__name__}"
            raise
        finally:
            await self._complete(name, begun, told(outcome.told, 200))

    async def entries(self, limit: int) -> list[AuditEntry]:
        """Return the last entries, the latest first; raises InvalidArgumentError."""
        check_int("limit", limit, minimum=1)
        known = [field.name for field in fields(AuditEntry)]
        kept = (await self._store.settings.last(KIND, limit)).values()
        return [AuditEntry(**{key: each[key] for key in known if key in each}) for each in kept]

    async def _complete(self, name: str, begun: dict[str, Any], outcome: str) -> None:
        """Note what came of it; where that cannot be, the log has it, and the entry stays begun."""
        self._log(begun, outcome)
        oldest = str(ObjectId.from_datetime(self._clock.now() - KEPT))
        try:
            await self._store.settings.put(KIND, name, {**begun, "outcome": outcome}, begun)
            await self._store.settings.remove_before(KIND, oldest)
        except StoreError as error:
            self._logger.warning("audit: the outcome could not be recorded: %s", error)

    def _log(self, entry: dict[str, Any], outcome: str) -> None:
        text = "audit: %r: %r %r: %r"
        self._logger.info(text, entry["who"], entry["action"], entry["subject"], outcome)
