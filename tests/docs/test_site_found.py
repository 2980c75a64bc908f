"""The site is found: by the words that people search for, and at one address a page."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from website.addresses import write_addresses
from website.moved import address
from website.searching import LIST, best, missed
from website.sources import LANGUAGES, code_files, sources

Item = dict[str, Any]


def item(location: str, level: int, title: str, text: str = "") -> Item:
    """Return an entry of an index."""
    return {"location": location, "level": level, "title": title, "text": text}


ITEMS = [
    item("states/#retry", 2, "retry", "a job"),
    item("retries/", 1, "Retry failed jobs", "<p>A handler that raises has failed.</p>"),
    item("celery/", 1, "Coming from Celery", "countdown " * 20),
    item("scheduling/#countdown", 2, "Countdown, ETA and more", "at a time"),
]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("retry", "retries/"),  # the title of a page comes before a heading
        ("Retr", "retries/"),  # a word that is not typed to its end
        ("countdown", "scheduling/"),  # a heading comes before a text, however often that says it
        ("celery countdown", "celery/"),  # all words
        ("handler", "retries/"),
        ("broker", None),
    ],
)
def test_what_comes_first(words: str, first: str | None) -> None:
    """The page whose headings have the words, then the one whose text has them."""
    assert best(ITEMS, words) == first


def test_a_question_that_finds_another_page_is_a_fault(tmp_path: Path) -> None:
    """Each question of the list is asked, and a line names what came first instead."""
    (tmp_path / "search.json").write_text(json.dumps({"items": ITEMS}))
    found = missed(tmp_path)
    assert "searching for 'dead letter' finds None first, not 'dead-letters/'" in found
    assert not any("'retry'" in each for each in found)


def test_the_questions_lead_to_pages() -> None:
    """Each page of the list is there, and what newcomers looked for in vain is asked."""
    asked = tomllib.loads(LIST.read_text(encoding="utf-8"))
    assert set(asked.values()) <= {source.page for source in sources("en")}
    wanted = {"countdown", "dead letter", "environment variable", "queue", "autoscale", "gil"}
    assert wanted <= set(asked)


def built(folder: Path) -> Path:
    """Return a folder with an empty page at each address, as the generator leaves them."""
    for language in LANGUAGES:
        root = folder if language == "en" else folder / language
        pages = [source.page for source in sources(language)]
        for page in (*pages, *(page for _, page in code_files()), "examples/index.md"):
            (root / address(page)).mkdir(parents=True, exist_ok=True)
            text = '<head><link rel="canonical" href="/wrong/"></head>'
            (root / address(page) / "index.html").write_text(text)
        (root / "sitemap.xml").write_text("of one language")
    return folder


def test_each_page_names_its_one_address(tmp_path: Path) -> None:
    """By one setting; an English page in the French site is known by its English address."""
    site = built(tmp_path)
    write_addresses(site, "https://jobs.example/docs/")
    link = '<head><link rel="canonical" href="https://jobs.example/docs/{}"></head>'
    for page, where in {
        "logs": "logs/",
        "fr/logs": "logs/",
        "fr/tutorial": "fr/tutorial/",
        "fr": "fr/",
        "fr/examples": "examples/",
        ".": "",
    }.items():
        assert (site / page / "index.html").read_text() == link.format(where), page
    listed = (site / "sitemap.xml").read_text()
    assert "<loc>https://jobs.example/docs/fr/tutorial/</loc>" in listed
    assert "/fr/logs/" not in listed
    assert listed.count("<loc>") == len(sources("en")) + len(code_files()) + 1 + sum(
        source.language == "fr" for source in sources("fr")
    )
    assert (site / "robots.txt").read_text() == "Sitemap: https://jobs.example/docs/sitemap.xml\n"
    assert not (site / "fr" / "sitemap.xml").exists()


def test_without_an_address_none_is_named(tmp_path: Path) -> None:
    """No address is made up where nobody has given one."""
    site = built(tmp_path)
    write_addresses(site, "")
    assert (site / "retries" / "index.html").read_text() == "<head></head>"
    assert not (site / "sitemap.xml").exists()
    assert not (site / "robots.txt").exists()
