"""Payload fields that nobody is to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from job_processor.errors import InvalidArgumentError

PATTERN = r"pass(word|wd|phrase)?$|secret|token|api_?key|authorization|cookie|credential"
"""Names of fields whose values are hidden unless another pattern is given, whatever the case."""

HIDDEN = "•••"


class Redaction:
    """Hides values by the names of their fields; raises InvalidArgumentError for a bad pattern."""

    def __init__(self, pattern: str | None = PATTERN) -> None:
        try:
            self._pattern = None if pattern is None else re.compile(pattern, re.IGNORECASE)
        except (re.error, TypeError) as error:
            allowed = f"allowed is a regular expression, or None: {error}"
            raise InvalidArgumentError("redact", pattern, allowed) from error

    def __call__(self, value: Any) -> Any:
        """Return plain JSON values with what is hidden left out."""
        if isinstance(value, Mapping):
            return {key: HIDDEN if self._hides(key) else self(item) for key, item in value.items()}
        return [self(item) for item in value] if isinstance(value, list) else value

    def _hides(self, key: str) -> bool:
        return self._pattern is not None and self._pattern.search(key) is not None
