"""What of a payload is not for every eye: values under names that tell of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from job_processor.errors import InvalidArgumentError

REDACTED = "[redacted]"
"""Stands where a value was."""

SENSITIVE = re.compile(
    r"pass(word|wd|phrase|code)|pwd|secret|token|api.?key|private.?key|auth|credential|cookie|"
    r"session|csrf|card.?number|cvv|iban|ssn",
    re.IGNORECASE,
)
"""Matches, anywhere in it, the name of a field whose value is not shown."""

_SHORTEST = 4  # characters; a shorter secret is found by chance anywhere


class Redaction:
    """Hides the values of fields whose name a pattern matches.

    pattern: a regular expression, compiled or not, searched for in names; None: `SENSITIVE`.
    Raises InvalidArgumentError.
    """

    def __init__(self, pattern: str | re.Pattern[str] | None = None) -> None:
        try:
            self._pattern = SENSITIVE if pattern is None else re.compile(pattern)
        except (re.error, TypeError) as error:
            allowed = "allowed is a regular expression that names of fields are searched for"
            raise InvalidArgumentError("redact", pattern, allowed) from error

    def fields(self, value: Any) -> Any:
        """Return a copy of plain values, at any depth without those of sensitive fields."""
        if isinstance(value, Mapping):
            return {
                key: REDACTED if self._hides(key) else self.fields(item)
                for key, item in value.items()
            }
        return [self.fields(item) for item in value] if isinstance(value, list | tuple) else value

    def restored(self, value: Any, original: Any) -> Any:
        """Return a copy of plain values in which what was hidden has the original's values again.

        Raises InvalidArgumentError for a hidden field that the original does not have.
        """
        return self._restored(value, original, "payload")

    def _restored(self, value: Any, original: Any, path: str) -> Any:
        if isinstance(value, list):
            rest = original[: len(value)] if isinstance(original, list) else []
            pairs = zip_longest(value, rest)
            return [self._restored(*pair, f"{path}.{n}") for n, pair in enumerate(pairs)]
        if not isinstance(value, Mapping):
            return value
        known: Mapping[Any, Any] = original if isinstance(original, Mapping) else {}
        restored = {}
        for key, item in value.items():
            if item == REDACTED and self._hides(key):
                if key not in known:
                    allowed = "allowed is a value; the job has none to put in its place"
                    raise InvalidArgumentError(f"{path}.{key}", REDACTED, allowed)
                restored[key] = known[key]
            else:
                restored[key] = self._restored(item, known.get(key), f"{path}.{key}")
        return restored

    def secrets(self, value: Any) -> list[str]:
        """Return the texts below sensitive fields, the longest first."""
        return sorted(set(self._secrets(value, False)), key=len, reverse=True)

    def _secrets(self, value: Any, hidden: bool) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._secrets(item, hidden or self._hides(key))
        elif isinstance(value, list | tuple):
            for item in value:
                yield from self._secrets(item, hidden)
        elif (
            hidden
            and isinstance(value, str | int | float)
            and not isinstance(value, bool)
            and len(str(value)) >= _SHORTEST
        ):
            yield str(value)

    def _hides(self, key: object) -> bool:
        return isinstance(key, str) and self._pattern.search(key) is not None


def without(value: Any, secrets: list[str]) -> Any:
    """Return a copy of plain values in whose texts none of the secrets occurs."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, Mapping):
        return {key: without(item, secrets) for key, item in value.items()}
    return [without(item, secrets) for item in value] if isinstance(value, list | tuple) else value
