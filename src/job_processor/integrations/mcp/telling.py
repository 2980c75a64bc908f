"""What a tool answers: plain JSON, without what is hidden, and no more than can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job_processor.as_json import to_json
from job_processor.redaction import Redaction

LONGEST_TEXT = 4000  # characters of a text
MOST_ITEMS = 200  # items of a list, and fields of an object
_DEEPEST = 30


class Telling:
    """Makes answers."""

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        """What is hidden."""

    def __call__(self, **fields: Any) -> dict[str, Any]:
        """Return an answer with these fields."""
        answer: dict[str, Any] = self.bounded(self.redaction.shown(to_json(fields)))
        return answer

    def bounded(self, value: Any, depth: int = 0) -> Any:
        """Return a copy in which what is too long ends with how much there is."""
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            return f"{value[:LONGEST_TEXT]}… ({len(value)} characters)"
        if not isinstance(value, list | Mapping):
            return value
        if depth == _DEEPEST:
            return "…"
        if isinstance(value, list):
            items = [self.bounded(item, depth + 1) for item in value[:MOST_ITEMS]]
            rest = len(value) - MOST_ITEMS
            return [*items, f"… ({rest} more)"] if rest > 0 else items
        fields = {
            key: self.bounded(item, depth + 1) for key, item in list(value.items())[:MOST_ITEMS]
        }
        rest = len(value) - MOST_ITEMS
        return {**fields, "…": f"{rest} more"} if rest > 0 else fields
