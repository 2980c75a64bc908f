"""Plain English: phrases that made readers stumble are gone, and what is left of them is listed.

They are looked for in pages, in the docstrings of the public API, and in messages.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.docs.markdown import PAGES, ROOT, read
from tests.docs.texts import docstrings, messages

LIST: dict[str, Any] = tomllib.loads(
    (ROOT / "tests" / "docs" / "phrases.toml").read_text(encoding="utf-8")
)
ENGLISH = [page for page in PAGES if not page.endswith(".fr.md")]


def prose(text: str) -> str:
    """Return a page without code, in one line, in lower case."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return " ".join(re.sub(r"`[^`\n]*`|<!--.*?-->", "", text).split()).lower()


TEXTS = {
    **{page: prose(read(page)) for page in ENGLISH},
    **{name: prose(text) for name, text in docstrings().items()},
    **{path: prose(text) for path, text in messages().items()},
}
"""By the page, the public name, or the file that has the messages."""


def found(pattern: str) -> dict[str, int]:
    """Return how often each text has it, without those that do not."""
    counts = {page: len(re.findall(pattern, text)) for page, text in TEXTS.items()}
    return {page: count for page, count in counts.items() if count}


@pytest.mark.parametrize("sentence", LIST["sentences"])
def test_a_riddle_does_not_come_back(sentence: str) -> None:
    """None of the sentences that had to be read twice is anywhere."""
    assert found(re.escape(sentence.lower())) == {}


@pytest.mark.parametrize("phrase", LIST["phrase"], ids=lambda phrase: phrase["pattern"])
def test_a_phrase_is_only_where_it_may_be(phrase: dict[str, Any]) -> None:
    """House words and turns of phrase have plain ones instead; a text may keep what is listed."""
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


def test_docstrings_and_messages_are_searched() -> None:
    """So are attributes of a class, those of its bases, and texts of errors with values in them."""
    assert "the name of its group" in TEXTS["job_processor.LimitInfo"]
    assert "the ids of the jobs that it runs after" in TEXTS["job_processor.SimpleJob"]
    assert "…: … is not allowed; …" in TEXTS["src/job_processor/errors.py"]
    assert "a value is not allowed" not in TEXTS["src/job_processor/errors.py"]
