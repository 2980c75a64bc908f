"""The settings: small documents by kind and name."""

from __future__ import annotations

from collections.abc import Collection

from job_processor.store.desks.settings import Setting, Settings
from tests.store.dictionaries.tables import OnTables, Tables, storable


class DictionarySettings(OnTables, Settings):
    """Lets only whoever knows a value replace it."""

    async def all(self, kind: str) -> dict[str, Setting]:
        """Return those of a kind."""
        async with self._connection as tables:
            return _of_kind(tables, kind)

    async def several(self, kinds: Collection[str]) -> dict[str, dict[str, Setting]]:
        """Return those of each of these kinds."""
        async with self._connection as tables:
            return {kind: _of_kind(tables, kind) for kind in kinds}

    async def last(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those whose names come last, the very last first."""
        async with self._connection as tables:
            names = sorted(_of_kind(tables, kind).items(), reverse=True)
            return dict(names[:limit])

    async def _put(self, kind: str, name: str, value: Setting, expected: Setting | None) -> bool:
        copy = storable(value)
        async with self._connection as tables:
            if tables.settings.get((kind, name)) != expected:
                return False
            tables.settings[kind, name] = copy
            return True

    async def _remove(self, kind: str, name: str, expected: Setting | None) -> bool:
        async with self._connection as tables:
            present = tables.settings.get((kind, name))
            if present is None or expected not in (None, present):
                return False
            del tables.settings[kind, name]
            return True

    async def _remove_before(self, kind: str, name: str) -> None:
        async with self._connection as tables:
            for other in [each for each in _of_kind(tables, kind) if each < name]:
                del tables.settings[kind, other]


def _of_kind(tables: Tables, kind: str) -> dict[str, Setting]:
    return {name: storable(value) for (of, name), value in tables.settings.items() if of == kind}
