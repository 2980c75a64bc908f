"""Settings: documents of ours that have no place in what the Node package shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from job_processor.store.desks.settings import Setting, Settings
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.whole import find_whole
from job_processor.values import normalize


@translated()
class MongoSettings(MongoDesk, Settings):
    """Reads settings, and replaces them by compare-and-set."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._settings = plumbing.handles.settings

    async def all(self, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind, by name."""
        found = await find_whole(self._settings, {"_id": _keys_of(kind), "kind": kind})
        return {document["name"]: document["value"] for document in found}

    async def several(self, kinds: Collection[str]) -> dict[str, dict[str, Setting]]:
        """Return the settings of each of these kinds."""
        found: dict[str, dict[str, Setting]] = {kind: {} for kind in kinds}
        ranges = [{"_id": _keys_of(kind), "kind": kind} for kind in kinds]
        for document in await find_whole(self._settings, {"$or": ranges}) if ranges else ():
            found[document["kind"]][document["name"]] = document["value"]
        return found

    async def last(self, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""
        found = self._settings.find({"_id": _keys_of(kind), "kind": kind})
        ordered = found.sort("_id", -1).limit(limit)
        return {document["name"]: document["value"] async for document in ordered}

    async def _put(self, kind: str, name: str, value: Setting, expected: Setting | None) -> bool:
        """Replace a setting if it still equals `expected` (None: if absent); False if it lost."""
        document = {"_id": _key(kind, name), "kind": kind, "name": name, "value": _sorted(value)}
        if expected is not None:
            unchanged = {"_id": document["_id"], "value": {"$eq": _sorted(expected)}}
            result = await self._settings.replace_one(unchanged, document)
            return result.matched_count == 1
        try:
            await self._settings.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def _remove(self, kind: str, name: str, expected: Setting | None) -> bool:
        """Present, and equal to `expected` where that is given → absent."""
        unchanged = {} if expected is None else {"value": {"$eq": _sorted(expected)}}
        result = await self._settings.delete_one({"_id": _key(kind, name), **unchanged})
        return result.deleted_count == 1

    async def _remove_before(self, kind: str, name: str) -> None:
        """Present → absent, for all settings of a kind whose names come before one."""
        keys = {**_keys_of(kind), "$lt": _key(kind, name)}
        await self._settings.delete_many({"_id": keys, "kind": kind})


def _key(kind: str, name: str) -> str:
    return f"{kind}:{name}"


def _keys_of(kind: str) -> Mapping[str, str]:
    return {"$gte": f"{kind}:", "$lt": f"{kind};"}  # ';' follows ':'


def _sorted(value: Setting) -> Any:
    """Return a value as it is stored: MongoDB compares documents with the order of their fields."""
    return _sort(normalize(value, "value"))


def _sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sort(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sort(each) for each in value]
    return value
