"""What a scheduler asks of another one that works on the same crons and knows nothing of ours.

It may move, touch or remove a cron of ours, plan occurrences of it, and define the same name. Where
there is none, `Alone` answers.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from job_processor.handlers.definitions import CronDef
from job_processor.models import Cron, Registrations
from job_processor.store.hints import Hint
from job_processor.store.owners import Owner


class Neighbour(Protocol):
    """The questions of a pass, in the order in which they come up. Each may raise StoreError."""

    def hear(self, hint: Hint) -> bool:
        """Take a hint; True when it calls for a pass at once."""

    async def look(self) -> None:
        """Before a pass: see whether the neighbour is there, and what cannot go well beside it."""

    def see(self, registrations: Registrations) -> None:
        """Notice by the registrations who of it has come, as far as no hint has told."""

    def holds(self, cron: Cron, owner: Owner | None, definition: CronDef, now: datetime) -> bool:
        """True when a cron is not ours to touch: it made it, or is writing it at this moment."""

    async def agree(
        self, name: str, cron: Cron | None, owner: Owner, definition: CronDef
    ) -> Owner | None:
        """Return the owner, with whether the neighbour defines the cron too, as far as it shows.

        None: it does, and reads it otherwise than we do, so the cron is its alone from now on.
        """

    async def take_back(
        self, cron: Cron, owner: Owner, definition: CronDef, *, made_here: bool
    ) -> bool:
        """Undo what it did to a cron that only we define; True: the cron is to be planned anew.

        made_here: the pointer is an occurrence of our definition.
        """

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments for which it has an occurrence in the queue already."""

    async def takes_over(self, cron: Cron, owner: Owner, *, abandoned: bool) -> bool:
        """Give it a cron that we list no more and that it goes on with; False: it does not.

        abandoned: nobody of ours has listed it for `CRON_GRACE`; a mere sign is then enough.
        """

    def pause(self, seconds: float) -> float:
        """Return how long to wait until the next pass at most, which is sooner while it matters."""


class Alone:
    """Nobody but us schedules here: no cron is another's, and no pass comes sooner."""

    def hear(self, hint: Hint) -> bool:
        """No hint is about a neighbour."""
        del hint
        return False

    async def look(self) -> None:
        """There is nobody to look for."""

    def see(self, registrations: Registrations) -> None:
        """Whoever is registered is one of us."""

    def holds(self, cron: Cron, owner: Owner | None, definition: CronDef, now: datetime) -> bool:
        """Whatever stands is ours."""
        del cron, owner, definition, now
        return False

    async def agree(
        self, name: str, cron: Cron | None, owner: Owner, definition: CronDef
    ) -> Owner | None:
        """There is nobody to disagree."""
        del name, cron, definition
        return owner

    async def take_back(
        self, cron: Cron, owner: Owner, definition: CronDef, *, made_here: bool
    ) -> bool:
        """Nobody has done anything to it."""
        del cron, owner, definition, made_here
        return False

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """What is planned, we have planned."""
        del name, moments
        return set()

    async def takes_over(self, cron: Cron, owner: Owner, *, abandoned: bool) -> bool:
        """Nobody goes on with what we leave."""
        del cron, owner, abandoned
        return False

    def pause(self, seconds: float) -> float:
        """As long as the scheduler would."""
        return seconds
