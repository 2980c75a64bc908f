"""Asks the index of a built site what people ask, and tells where another page comes first.

The search of the site runs in a browser. This ranks as that does in what matters here: words in a
heading before words in a text, short headings before long ones, pages before their parts.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from website.moved import address

LIST: Final = Path(__file__).parent / "searches.toml"

_WORD: Final = re.compile(r"\w+")
_TAG: Final = re.compile(r"<[^>]*>")
_HEADING: Final = 10.0
"""How much more a word in a heading counts than all of its occurrences in a text."""
_PAGE: Final = 4.0
"""How much more the title of a page counts than a heading in it."""


def missed(site: Path) -> list[str]:
    """Return what is wrong with the index of a built site, a line for each question."""
    items = json.loads((site / "search.json").read_text(encoding="utf-8"))["items"]
    asked: dict[str, str] = tomllib.loads(LIST.read_text(encoding="utf-8"))
    found = []
    for words, page in asked.items():
        first = best(items, words)
        if first != address(page):
            found.append(f"searching for {words!r} finds {first!r} first, not {address(page)!r}")
    return found


def best(items: Iterable[Mapping[str, Any]], words: str) -> str | None:
    """Return the address of the page that comes first for these words; None where none does."""
    asked = _words(words)
    scores = [(_score(each, asked), each["location"].partition("#")[0]) for each in items]
    highest = max(scores, key=lambda each: each[0], default=(0.0, None))
    return highest[1] if highest[0] > 0 else None


def _score(item: Mapping[str, Any], asked: Sequence[str]) -> float:
    heading, text = _words(item["title"]), _words(item["text"])
    total = 0.0
    for wanted in asked:
        in_heading = any(word.startswith(wanted) for word in heading)
        in_text = sum(word.startswith(wanted) for word in text)
        if not in_heading and not in_text:
            return 0.0
        weight = _HEADING * (_PAGE if item["level"] == 1 else 1.0)
        total += in_heading * weight / (2 + len(heading))
        total += in_text / (in_text + 1 + len(text) / 100)
    return total


def _words(text: str) -> list[str]:
    return _WORD.findall(_TAG.sub("", text).lower())
