"""A newcomer's questions: each is answered within two clicks of the home page, in little text."""

from __future__ import annotations

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.docs.markdown import ROOT, links, read, section

QUESTIONS: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "tests" / "docs" / "newcomer.toml").read_text(encoding="utf-8")
)["question"]
HOME = "docs/index.md"
WORDS = 420
"""What is read in the time that the way may take: half a minute, in which code is skimmed."""


def linked(page: str) -> set[str]:
    """Return the pages that a page links to."""
    folder = ROOT / PurePosixPath(page).parent
    targets = [target.partition("#")[0] for target in links(page) if ":" not in target]
    files = [(folder / target).resolve() for target in targets if target]
    return {file.relative_to(ROOT).as_posix() for file in files if file.is_relative_to(ROOT)}


def test_there_are_enough_questions() -> None:
    """At least ten, no two the same."""
    assert len({each["asked"] for each in QUESTIONS}) == len(QUESTIONS) >= 10


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each["asked"])
def test_the_way_leads_to_the_answer(question: dict[str, Any]) -> None:
    """Each click is a link of the page before, and below the heading stand the words."""
    assert 1 <= len(question["clicks"]) <= 2
    page = HOME
    for click in question["clicks"]:
        assert click in linked(page), f"{page} has no link to {click}"
        page = click
    below = " ".join(section(page, question["heading"]).split())
    before, found, _ = below.partition(question["answer"])
    assert found, f"{page} does not say {question['answer']!r} below {question['heading']!r}"
    prose = re.sub(r"```.*?```", "", before)
    assert len(prose.split()) <= WORDS, f"{page}: {len(prose.split())} words before the answer"


def test_home_is_short_enough_to_choose_from() -> None:
    """The table that says where to begin names the pages that most questions lead to."""
    table = section(HOME, "Where to start")
    first = {question["clicks"][0] for question in QUESTIONS}
    named = {page for page in first if page.removeprefix("docs/") in table}
    assert len(named) >= len(first) / 2
    assert read(HOME).index("## Where to start") < read(HOME).index("## All pages")
