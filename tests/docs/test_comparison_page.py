"""docs/comparison.md is fair in form: dated, with sources, and both sides of each peer."""

from __future__ import annotations

import re

from tests.docs.figures import measured
from tests.docs.markdown import read, section, table

PAGE = "docs/comparison.md"
HEADER = ("system", "language", "jobs live in", "handlers", "crons", "dashboard")
PEERS = {
    *("Celery", "Dramatiq", "RQ", "Huey", "ARQ", "SAQ", "TaskIQ", "Procrastinate", "APScheduler"),
    *("Oban", "BullMQ", "Agenda", "River", "Sidekiq", "GoodJob"),
}


def test_it_says_of_when_it_is() -> None:
    """What is said of others has a date."""
    assert re.search(r"As of [A-Z][a-z]+ 20\d\d", read(PAGE))


def test_every_peer_is_in_the_table_with_a_source() -> None:
    """Each peer has a row that links to a page of its own."""
    rows = [row[0] for row in table(PAGE, HEADER)]
    linked = [match[1] for row in rows if (match := re.fullmatch(r"\[(.+)\]\(https://.+\)", row))]
    assert sorted(linked) == sorted(PEERS)
    assert all(len(set(row)) > 1 and all(row[1:]) for row in table(PAGE, HEADER))


def test_every_peer_does_something_better() -> None:
    """Each peer has a paragraph with both sides, theirs first."""
    paragraphs = section(PAGE, "One by one").split("\n\n")
    for peer in PEERS:
        (text,) = [each for each in paragraphs if each.strip().startswith(f"**{peer}.**")]
        there, here = (
            " ".join(text.split()).find(f"*Better {side}:*") for side in ("there", "here")
        )
        assert 0 < there < here, peer


def test_how_much_faster_is_what_was_measured() -> None:
    """The word for the ratio to Huey is that of the figures on the page about speed."""
    ours, theirs = (
        float(measured()[name][0]) for name in ("job-processor, SQLite", "Huey, SQLite")
    )
    assert 9 <= ours / theirs < 10
    assert "nine times as many jobs per second" in " ".join(read(PAGE).split())


def test_how_much_faster_on_mongodb_is_what_was_measured() -> None:
    """The words for the ratios to Agenda and the Node package are those of a real MongoDB."""
    header = ("measured on a real MongoDB", "one member", "three members, on the same two cores")
    rates = {
        row[0]: int(re.sub(r"\D", "", row[1]))
        for row in table("docs/performance.md", header)
        if row[1].endswith("jobs/s")
    }
    ours, agenda, node = rates.values()
    assert 10 < ours / agenda < 20 < ours / node < 30
    text = " ".join(read(PAGE).split())
    assert "on the same MongoDB more than ten times as many jobs per second" in text
    assert "on the same MongoDB more than twenty times as many jobs per second" in text
