"""Rollups: counts of spans of time, added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from job_processor.store.desks.rollups import Rollups
from job_processor.store.error_groups import ErrorGroup, fold, ranked
from job_processor.store.name_rollups import Kind, NameRollup, by_name
from job_processor.store.rollups import Rollup
from tests.store.dictionaries.tables import OnTables


class DictionaryRollups(OnTables, Rollups):
    """Keeps one rollup a span, and one a name, and the errors of a name and hour."""

    async def _add(
        self,
        rollups: Sequence[Rollup],
        named: Sequence[NameRollup],
        errors: Sequence[ErrorGroup],
    ) -> None:
        async with self._connection as tables:
            for rollup in rollups:
                key = (rollup.seconds, rollup.start)
                present = tables.rollups.get(key)
                tables.rollups[key] = rollup if present is None else present.plus(rollup)
            for each in named:
                of = (each.kind, each.seconds, each.start, each.name)
                there = tables.name_rollups.get(of)
                tables.name_rollups[of] = each if there is None else there.plus(each)
            for group in errors:
                hour = (group.start, group.name)
                tables.errors[hour] = fold([*tables.errors.get(hour, []), group])

    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return those of a span that begin at a time or later."""
        async with self._connection as tables:
            return [
                rollup
                for (length, start), rollup in sorted(tables.rollups.items())
                if length == seconds and start >= since
            ]

    async def of(
        self, kind: Kind, name: str, spans: Mapping[int, Sequence[datetime]]
    ) -> list[NameRollup]:
        """Return those of a name or tag that begin at these times."""
        async with self._connection as tables:
            keys = [
                (kind, seconds, start, name)
                for seconds, starts in sorted(spans.items())
                for start in sorted(starts)
            ]
            return [tables.name_rollups[key] for key in keys if key in tables.name_rollups]

    async def sums(
        self, kind: Kind, seconds: int, since: datetime, having: Sequence[str] = ()
    ) -> list[NameRollup]:
        """Return what those from a time on add up to, by name."""
        async with self._connection as tables:
            return by_name(
                each
                for (of, length, start, _), each in sorted(tables.name_rollups.items())
                if (of, length) == (kind, seconds)
                and start >= since
                and (not having or each.counts.keys() & set(having))
            )

    async def errors(
        self, starts: Sequence[datetime], name: str | None, limit: int
    ) -> list[ErrorGroup]:
        """Return the errors of some hours, the most frequent first."""
        async with self._connection as tables:
            return ranked(
                group
                for (start, of), groups in tables.errors.items()
                if start in starts and name in (None, of)
                for group in groups
            )[:limit]
