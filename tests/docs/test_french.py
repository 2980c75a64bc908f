"""One word for one thing in French: on the pages, in the README and in the dashboard."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from job_processor.web import phrases, texts
from tests.docs.markdown import PAGES, ROOT, read

TERMS = tomllib.loads((ROOT / "tests" / "docs" / "french.toml").read_text(encoding="utf-8"))["term"]
FRENCH = [page for page in PAGES if page.endswith(".fr.md")]
_CODE = re.compile(
    r"^```.*?^```$|<!--.*?-->|`[^`\n]*`|\]\([^)\s]*\)|^\[.*?\]: .*?$", re.DOTALL | re.MULTILINE
)


def prose(page: str) -> str:
    """Return a page without its code and the addresses that it links to, in one line."""
    return " ".join(_CODE.sub(" ", read(page)).replace("\u2019", "'").split())


def strings(value: Any) -> list[str]:
    """Return all texts within a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in strings(each)]
    return []


def dashboard() -> str:
    """Return the French texts of the dashboard."""
    return "\n".join(strings(texts.FRENCH) + strings(vars(phrases)))


@pytest.mark.parametrize("term", TERMS, ids=lambda term: str(term["word"]))
def test_one_word_for_one_thing(term: dict[str, Any]) -> None:
    """Who reads a word on a page finds the same one in the dashboard."""
    found = {
        f"{where}: {match[0]!r}, say {term['word']!r}"
        for where, text in [*((page, prose(page)) for page in FRENCH), ("dashboard", dashboard())]
        for pattern in term["instead_of"]
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    }
    assert not found, "\n".join(sorted(found))


def test_the_words_are_in_use() -> None:
    """A term that no page says would hold nothing."""
    everything = " ".join(prose(page) for page in FRENCH).lower()
    assert [term["word"] for term in TERMS if term["word"] not in everything] == []
