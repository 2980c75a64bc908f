"""Small documents by kind and name, changed only by whoever knows the last value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, TypeAlias

from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint

Setting: TypeAlias = Mapping[str, Any]
"""A document of the settings: plain values, without its key."""


class Settings(Desk, ABC):
    """Small documents by kind and name, changed only by whoever knows the last value."""

    @abstractmethod
    async def all(self, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind, by name."""

    @abstractmethod
    async def several(self, kinds: Collection[str]) -> dict[str, dict[str, Setting]]:
        """Return the settings of each of these kinds, by name, in one read."""

    @abstractmethod
    async def last(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""

    async def put(self, kind: str, name: str, value: Setting, expected: Setting | None) -> bool:
        """Replace a setting if it still equals `expected` (None: if absent); False if it lost."""
        done = await self._put(kind, name, value, expected)
        self._tell(Hint.SETTINGS, None)
        return done

    @abstractmethod
    def _put(
        self, kind: str, name: str, value: Setting, expected: Setting | None
    ) -> Awaitable[bool]: ...

    async def remove(self, kind: str, name: str, expected: Setting | None = None) -> bool:
        """Present, and equal to `expected` where that is given → absent; False when it is not."""
        done = await self._remove(kind, name, expected)
        self._tell(Hint.SETTINGS, None)
        return done

    @abstractmethod
    def _remove(self, kind: str, name: str, expected: Setting | None) -> Awaitable[bool]: ...

    async def remove_before(self, kind: str, name: str) -> None:
        """Present → absent, for all settings of a kind whose names come before one."""
        await self._remove_before(kind, name)
        self._tell(Hint.SETTINGS, None)

    @abstractmethod
    def _remove_before(self, kind: str, name: str) -> Awaitable[object]: ...
