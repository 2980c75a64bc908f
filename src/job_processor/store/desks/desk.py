"""What every desk has: whom it tells, and the desks that it hands things on to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.store.desks.lazily import Lazily
from job_processor.store.hints import Tell
from job_processor.store.waits import End

if TYPE_CHECKING:
    from job_processor.store.base import Store
    from job_processor.store.desks.groups import Groups
    from job_processor.store.desks.lanes import Lanes
    from job_processor.store.desks.messages import Messages
    from job_processor.store.desks.tokens import Tokens
    from job_processor.store.desks.waits import Waits


class Desk:
    """The verbs of one noun.

    tell: called with each hint of what was written here and, where jobs were settled, with their
        ids.
    store: a weak reference to the store. It keeps its desks, and no desk keeps it, nor another one
        that it only hands something on to: a store that is forgotten is gone.
    """

    lanes: Lazily[Lanes] = Lazily()
    """Where a slot is handed over that something done here has freed."""
    waits: Lazily[Waits] = Lazily()
    """Where those are released who waited for what has ended here."""
    tokens: Lazily[Tokens] = Lazily()
    """Where another one of a rate's lane is let follow, where one has left it here."""
    groups: Lazily[Groups] = Lazily()
    """Where a group is looked at of which something done here has ended a member."""
    messages: Lazily[Messages] = Lazily()
    """Where it is looked for what a job waits for that was left here."""

    def __init__(self, tell: Tell, store: Store) -> None:
        self._tell = tell
        self._store = store

    def desk(self, name: str) -> Any:
        """Return another desk of the same store."""
        return self._store.desk(name)

    async def _pass_on(self, freed: Iterable[str | None]) -> None:
        """Hand over what is free in these lanes; None stands for no lane."""
        if lanes := {lane for lane in freed if lane is not None}:
            await self.lanes.hand_over(lanes)

    async def _let_go(self, ends: Sequence[End]) -> None:
        """Release whoever waited for what has ended here."""
        if ends:
            await self.waits.release(ends)

    async def _let_follow(self, left: Iterable[str | None]) -> None:
        """Let others follow in these lanes of rates; None stands for no lane."""
        if lanes := {lane for lane in left if lane is not None}:
            await self.tokens.admit(lanes)

    async def _left(self, groups: Iterable[ObjectId | None]) -> None:
        """Look whether these groups have ended; None stands for no group."""
        if left := {each for each in groups if each is not None}:
            await self.groups.look(left)

    async def _holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot; none where nobody has."""
        return await self.lanes.holding(job_ids) if job_ids and self.lanes.book else {}
