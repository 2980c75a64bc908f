"""Whose turn it is to sweep: whoever wins the write of a setting, once per `worker_timeout`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from job_processor.worker.engine import Engine

KIND = "sweep"
"""Of the settings that tell who swept last: when, and up to where."""


class Turn:
    """The turn to sweep one kind of thing. Two that do so at once harm nobody.

    name: of the kind, and of its setting.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._settings = engine.store.settings
        self._interval = engine.settings.worker_timeout
        self._name = name

    async def win(self, now: datetime) -> str | None:
        """Return where to begin; None where another worker sweeps at present, or just did."""
        last = (await self._settings.all(KIND)).get(self._name)
        due = timedelta(seconds=0.8 * self._interval)
        if last is not None and abs(now - _moment(last, now)) < due:
            return None
        begun = {"at": now, "position": _position(last)}
        return _position(last) if await self._settings.put(KIND, self._name, begun, last) else None

    async def note(self, position: str) -> None:
        """Note where the next one is to begin; another one may have begun meanwhile."""
        last = (await self._settings.all(KIND)).get(self._name)
        if last is not None:
            await self._settings.put(KIND, self._name, {**last, "position": position}, last)


def _moment(setting: Mapping[str, Any], now: datetime) -> datetime:
    at = setting.get("at")
    return at if isinstance(at, datetime) else now - timedelta(days=1)


def _position(setting: Mapping[str, Any] | None) -> str:
    position = None if setting is None else setting.get("position")
    return position if isinstance(position, str) else ""
