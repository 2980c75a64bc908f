"""Plain English: phrases that made readers stumble are gone, and what is left of them is listed."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.docs.markdown import PAGES, ROOT, read

LIST: dict[str, Any] = tomllib.loads(
    (ROOT / "tests" / "docs" / "phrases.toml").read_text(encoding="utf-8")
)
ENGLISH = [page for page in PAGES if not page.endswith(".fr.md")]


def prose(text: str) -> str:
    """Return a page without code, in one line, in lower case."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return " ".join(re.sub(r"`[^`\n]*`|<!--.*?-->", "", text).split()).lower()


TEXTS = {page: prose(read(page)) for page in ENGLISH}


def found(pattern: str) -> dict[str, int]:
    """Return how often each page has it, without those that do not."""
    counts = {page: len(re.findall(pattern, text)) for page, text in TEXTS.items()}
    return {page: count for page, count in counts.items() if count}


@pytest.mark.parametrize("sentence", LIST["sentences"])
def test_a_riddle_does_not_come_back(sentence: str) -> None:
    """None of the sentences that had to be read twice is on a page."""
    assert found(re.escape(sentence.lower())) == {}


@pytest.mark.parametrize("phrase", LIST["phrase"], ids=lambda phrase: phrase["pattern"])
def test_a_phrase_is_only_where_it_may_be(phrase: dict[str, Any]) -> None:
    """House words and turns of phrase have plain ones instead; a page may keep what is listed."""
    assert phrase["instead"]
    left = phrase.get("left", {})
    more = {page: n for page, n in found(phrase["pattern"]).items() if n > left.get(page, 0)}
    assert more == {}, f"write {phrase['instead']!r}"


@pytest.mark.parametrize("page", ENGLISH)
def test_titles_are_what_people_search_for(page: str) -> None:
    """No title is a part of a sentence that says nothing by itself."""
    titles = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    assert set(titles) & set(LIST["titles"]) == set()


def test_prose_is_what_is_searched() -> None:
    """Code and comments are no prose; a phrase is found across the end of a line."""
    page = "<!-- settled -->\nIt is `settled`\n\n```python\nsettled = 1\n```\n\nOf\na NAME"
    assert prose(page) == "it is of a name"
