"""An index that setup makes, and when one that is there does the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from job_processor.store.mongo.documents import Document

TTL = "expireAfterSeconds"
_COMPARED = ("unique", "sparse", "collation", "partialFilterExpression")
"""Options that change what an index does; MongoDB keeps one index per key and set of these."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that setup makes."""

    name: str
    keys: tuple[tuple[str, int], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    critical: bool = False

    @property
    def document(self) -> Document:
        """What the server is asked to make."""
        return {"key": dict(self.keys), "name": self.name, **self.options}

    def is_served_by(self, found: Mapping[str, Any]) -> bool:
        """True when `found` does the same; the length of a time to live may differ."""
        return self._has_key_of(found) and self._differing(found) == []

    def conflicts_with(self, found: Mapping[str, Any]) -> bool:
        """True when `found` keeps this index from being made, and does not do the same."""
        if self.is_served_by(found):
            return False
        same = self._has_key_of(found) and self._differing(found) == [TTL]
        return found.get("name") == self.name or same

    def _has_key_of(self, found: Mapping[str, Any]) -> bool:
        return list(found["key"].items()) == list(self.keys)

    def _differing(self, found: Mapping[str, Any]) -> list[str]:
        differing = [
            option
            for option in _COMPARED
            if plain(found.get(option)) != plain(self.options.get(option))
        ]
        return differing + [TTL] * ((TTL in found) != (TTL in self.options))


def plain(value: Any) -> Any:
    """Return an option in a form that compares by meaning: the order of `$in` has none."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted(map(plain, value), key=repr)
    return value or None
