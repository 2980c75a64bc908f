"""Tables fit the terminal: what a user named gives way, ids, states and times stay whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from job_processor.cli.views import tables

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAME = "send_the_weekly_newsletter_to_everybody_who_asked_for_it"
ID = "0123456789abcdef01234567"
ERROR = "ConnectionRefusedError: the mail server said no, and would say why only to its friends"


def job(status: str, **output: Any) -> dict[str, Any]:
    """A job as the status shows it."""
    result = {"error": None, "result": None, "duration_ms": 3, **output} if output else None
    times = dict.fromkeys(("scheduled_for", "started_at", "ended_at"), "2029-12-31T21:59:51Z")
    return {"_id": ID, "name": NAME, "status": status, "output": result, **times}


JOBS = [job("finished", result={"sent": "x" * 200}), job("errored", error=ERROR), job("pending")]
COUNTS = dict.fromkeys(tables.STYLES, 1234)
CRON = {
    "cron": {"name": NAME, "cron_string": "*/15 8-18 * * 1-5", "scheduled_for": "2030-01-01"},
    "history": JOBS,
    "counts": COUNTS,
}
CRON["cron"]["scheduled_for"] = "2030-01-02T11:59:59Z"  # type: ignore[index]
WORKER = {
    "_id": ID,
    "hostname": "a-machine-with-a-long-name.example.org",
    "pid": 4_194_304,
    "tags": ["mail", "video", "invoices"],
    "concurrency": 10,
    "memory": 1_234_567_890,
    "alive": False,
    "lastSeen": "2029-12-31T23:59:58Z",
    "started_at": "2029-12-01T00:00:00Z",
}


def lines(table: RenderableType, width: int) -> list[str]:
    """Return what is printed on a terminal of this width."""
    out = Console(file=io.StringIO(), width=width, highlight=False)
    with out.capture() as capture:
        out.print(table)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_jobs(width: int) -> None:
    """A job's id, state and times are whole, its error can be read, a result stays one line."""
    shown = lines(tables.jobs_table(JOBS, NOW), width)
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    for part in (ID, "finished", "errored", "pending", "2 h ago", "3 ms", "send_the_weekly"):
        assert part in text
    assert text.count(ID) == len(JOBS)
    assert "friends" in text
    assert sum("xxxx" in line for line in shown) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_counts(width: int) -> None:
    """The states are whole columns; zero is told from a number at a glance."""
    shown = lines(tables.counts_table([(NAME, COUNTS), ("tidy", {"killed": 10_000})]), width)
    assert max(map(len, shown)) <= width
    assert shown[1].split() == ["name", *tables.STYLES]
    assert shown[3].split()[1:] == ["1234"] * 7
    assert shown[4].split() == ["tidy", "-", "-", "-", "-", "-", "10000+", "-"]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_crons(width: int) -> None:
    """A cron's expression and its next time are whole, its counts are all there."""
    shown = lines(tables.crons_table([CRON], NOW), width)
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    for part in ("*/15 8-18 * * 1-5", "in 1 d 11 h", "2 h ago", *tables.STYLES):
        assert part in text
    assert text.count("1234") == len(tables.STYLES)


def test_workers() -> None:
    """A worker's id, load and times are whole."""
    shown = lines(tables.workers_table([{"worker": WORKER, "tasks": JOBS}], NOW), 80)
    assert max(map(len, shown)) <= 80
    for part in (ID, "4194304", "3 of 10", "1235 MB", "2 s ago", "31 d"):
        assert part in shown[-1]


def test_workers_in_words() -> None:
    """The dead are counted apart."""
    groups = [{"worker": {"alive": alive}} for alive in (True, False, True)]
    assert tables.workers_text(groups) == "2 workers, 1 dead"
    assert tables.workers_text(groups[2:]) == "1 worker"
