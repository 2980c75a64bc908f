"""Counts of spans of time, added up: of all jobs, of names, of tags, and of errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime

from job_processor.store.desks.desk import Desk
from job_processor.store.error_groups import ErrorGroup
from job_processor.store.name_rollups import Kind, NameRollup
from job_processor.store.rollups import Rollup


class Rollups(Desk, ABC):
    """Counts of spans of time, added up."""

    async def add(
        self,
        rollups: Sequence[Rollup],
        named: Sequence[NameRollup] = (),
        errors: Sequence[ErrorGroup] = (),
    ) -> None:
        """Absent or present → with these counts added.

        errors: of a name and hour at most `GROUPS_KEPT` stay apart, the others count as `…`.
        A repetition after a lost reply may count twice: they are for charts.
        """
        if rollups or named or errors:
            await self._add(rollups, named, errors)

    @abstractmethod
    def _add(
        self,
        rollups: Sequence[Rollup],
        named: Sequence[NameRollup],
        errors: Sequence[ErrorGroup],
    ) -> Awaitable[object]: ...

    @abstractmethod
    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later, the earliest first."""

    @abstractmethod
    async def of(
        self, kind: Kind, name: str, spans: Mapping[int, Sequence[datetime]]
    ) -> list[NameRollup]:
        """Return the rollups of a name or tag of these lengths that begin at these times.

        spans: starts by seconds. Those of a length follow each other, the earliest first.
        """

    @abstractmethod
    async def sums(
        self, kind: Kind, seconds: int, since: datetime, having: Sequence[str] = ()
    ) -> list[NameRollup]:
        """Return what those that begin at this time or later add up to, by name.

        having: only those that have counted any of these; empty: all.
        """

    @abstractmethod
    async def errors(
        self, starts: Sequence[datetime], name: str | None, limit: int
    ) -> list[ErrorGroup]:
        """Return the errors of the hours that begin at these times, the most frequent first.

        name: of which jobs; None: of all.
        """
