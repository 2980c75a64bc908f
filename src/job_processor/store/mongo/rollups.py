"""Rollups: counts of spans of time, in the settings, added up by the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from pymongo import UpdateOne

from job_processor.store.desks.rollups import Rollups
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.rollups import KEPT, Rollup

_KIND = "rollup"


@translated()
class MongoRollups(MongoDesk, Rollups):
    """Adds counts, and reads them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._settings = plumbing.handles.settings

    async def _add(self, rollups: Sequence[Rollup]) -> None:
        """Absent or present → with these counts added."""
        operations = [
            UpdateOne({"_id": _key(each.seconds, each.start)}, _added(each), upsert=True)
            for each in rollups
        ]
        await self._settings.bulk_write(operations, ordered=False)

    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later."""
        between = {"$gte": _key(seconds, since), "$lt": f"{_KIND}:{seconds};"}  # ';' follows ':'
        found = self._settings.find({"_id": between}, sort=[("_id", 1)])
        return [_read(document) async for document in found]

    async def prune(self, now: datetime) -> None:
        """Drop what is too old."""
        for seconds, kept in KEPT.items():
            between = {"$gte": f"{_KIND}:{seconds}:", "$lt": _key(seconds, now - kept)}
            await self._settings.delete_many({"_id": between})


def _key(seconds: int, start: datetime) -> str:
    return f"{_KIND}:{seconds}:{int(start.timestamp()):012}"


def _added(rollup: Rollup) -> dict[str, Any]:
    counts = {f"counts.{name}": count for name, count in rollup.counts.items()}
    failures = {f"failures.{_field(name)}": count for name, count in rollup.failures.items()}
    delays = {f"delays.{index}": count for index, count in rollup.delays.items()}
    constant = {"kind": _KIND, "seconds": rollup.seconds, "start": rollup.start}
    return {"$inc": counts | failures | delays, "$setOnInsert": constant}


def _field(name: str) -> str:
    """Return a name as one of a field: dots and dollars have a meaning there."""
    return quote(name, safe=" ").replace(".", "%2E").replace("~", "%7E")


def _read(document: Mapping[str, Any]) -> Rollup:
    start: datetime = document["start"]
    return Rollup(
        document["seconds"],
        start.astimezone(UTC),
        dict(document.get("counts") or {}),
        {unquote(name): count for name, count in (document.get("failures") or {}).items()},
        {int(index): count for index, count in (document.get("delays") or {}).items()},
    )
