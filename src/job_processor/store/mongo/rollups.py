"""Rollups: counts of spans of time, in the settings, added up by the server.

Their keys say of what and of when they are, so those of a span are neighbours, and those of a name
can be named: they need no other index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from pymongo import DeleteMany, UpdateOne

from job_processor.store.desks.rollups import Rollups
from job_processor.store.error_groups import ERRORS_KEPT, ErrorGroup
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.error_groups import added_errors, read_errors
from job_processor.store.name_rollups import NAME_SPANS, Kind, NameRollup, by_name
from job_processor.store.rollups import HOUR, KEPT, Rollup

_KIND = "rollup"
_KINDS: tuple[Kind, ...] = ("all", "name", "tag")
_ERRORS = "errors"


@translated()
class MongoRollups(MongoDesk, Rollups):
    """Adds counts, and reads them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._settings = plumbing.handles.settings

    async def _add(
        self,
        rollups: Sequence[Rollup],
        named: Sequence[NameRollup],
        errors: Sequence[ErrorGroup],
    ) -> None:
        """Absent or present → with these counts added."""
        updates: list[tuple[str, Document | list[Document]]] = [
            (_key(_KIND, each.seconds, each.start), _added(each)) for each in rollups
        ]
        updates += [(_key_of(each), _added_named(each)) for each in named]
        by_hour: dict[str, list[ErrorGroup]] = defaultdict(list)
        for group in errors:
            by_hour[_key_of_errors(group.name, group.start)].append(group)
        updates += [(key, added_errors(groups)) for key, groups in by_hour.items()]
        operations = [UpdateOne({"_id": key}, update, upsert=True) for key, update in updates]
        await self._settings.bulk_write(operations, ordered=False)

    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later."""
        found = self._settings.find({"_id": _from(_KIND, seconds, since)}, sort=[("_id", 1)])
        return [_read(document) async for document in found]

    async def of(
        self, kind: Kind, name: str, spans: Mapping[int, Sequence[datetime]]
    ) -> list[NameRollup]:
        """Return those of a name or tag that begin at these times."""
        keys = [
            f"{_key(f'{_KIND}-{kind}', seconds, start)}:{name}"
            for seconds, starts in spans.items()
            for start in starts
        ]
        found = self._settings.find({"_id": {"$in": keys}}, sort=[("_id", 1)])
        named = [_read_named(document) async for document in found]
        return sorted(named, key=lambda each: (each.seconds, each.start))

    async def sums(
        self, kind: Kind, seconds: int, since: datetime, having: Sequence[str] = ()
    ) -> list[NameRollup]:
        """Return what those that begin at this time or later add up to, by name."""
        wanted: Document = {"_id": _from(f"{_KIND}-{kind}", seconds, since)}
        if having:
            wanted["$or"] = [{f"counts.{each}": {"$exists": True}} for each in having]
        found = self._settings.find(wanted, sort=[("_id", 1)])
        return by_name([_read_named(document) async for document in found])

    async def errors(
        self, starts: Sequence[datetime], name: str | None, limit: int
    ) -> list[ErrorGroup]:
        """Return the errors of some hours, the most frequent first."""
        if not starts:
            return []
        if name is None:
            last = _key(_ERRORS, HOUR, max(starts))
            keys: Document = {"$gte": _key(_ERRORS, HOUR, min(starts)), "$lt": f"{last};"}
        else:
            keys = {"$in": [_key_of_errors(name, start) for start in starts]}
        found = self._settings.find({"_id": keys})
        return read_errors([document async for document in found])[:limit]

    async def prune(self, now: datetime) -> None:
        """Drop what is too old."""
        kept = [(_KIND, seconds, kept) for seconds, kept in KEPT.items()]
        kept += [
            (f"{_KIND}-{kind}", seconds, KEPT[seconds]) for kind in _KINDS for seconds in NAME_SPANS
        ]
        kept.append((_ERRORS, HOUR, ERRORS_KEPT))
        old = [
            {"_id": {"$gte": f"{what}:{seconds}:", "$lt": _key(what, seconds, now - age)}}
            for what, seconds, age in kept
        ]
        await self._settings.bulk_write([DeleteMany(each) for each in old], ordered=False)


def _key(what: str, seconds: int, start: datetime) -> str:
    return f"{what}:{seconds}:{int(start.timestamp()):012}"


def _from(what: str, seconds: int, since: datetime) -> Mapping[str, str]:
    return {"$gte": _key(what, seconds, since), "$lt": f"{what}:{seconds};"}  # ';' follows ':'


def _key_of(rollup: NameRollup) -> str:
    return f"{_key(f'{_KIND}-{rollup.kind}', rollup.seconds, rollup.start)}:{rollup.name}"


def _key_of_errors(name: str, start: datetime) -> str:
    return f"{_key(_ERRORS, HOUR, start)}:{name}"


def _added(rollup: Rollup) -> Document:
    counts = {f"counts.{name}": count for name, count in rollup.counts.items()}
    failures = {f"failures.{_field(name)}": count for name, count in rollup.failures.items()}
    delays = {f"delays.{index}": count for index, count in rollup.delays.items()}
    constant = {"kind": _KIND, "seconds": rollup.seconds, "start": rollup.start}
    return {"$inc": counts | failures | delays, "$setOnInsert": constant}


def _added_named(rollup: NameRollup) -> Document:
    counts = {f"counts.{name}": count for name, count in rollup.counts.items()}
    delays = {f"delays.{index}": count for index, count in rollup.delays.items()}
    durations = {f"durations.{index}": count for index, count in rollup.durations.items()}
    constant = {
        "kind": _KIND,
        "of": rollup.kind,
        "name": rollup.name,
        "seconds": rollup.seconds,
        "start": rollup.start,
    }
    return {"$inc": counts | delays | durations, "$setOnInsert": constant}


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
        _classes(document, "delays"),
    )


def _read_named(document: Mapping[str, Any]) -> NameRollup:
    start: datetime = document["start"]
    return NameRollup(
        document["of"],
        document["name"],
        document["seconds"],
        start.astimezone(UTC),
        dict(document.get("counts") or {}),
        _classes(document, "delays"),
        _classes(document, "durations"),
    )


def _classes(document: Mapping[str, Any], name: str) -> dict[int, int]:
    return {int(index): count for index, count in (document.get(name) or {}).items()}
