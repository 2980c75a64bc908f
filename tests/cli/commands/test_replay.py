"""`jobs replay` and `jobs retry --rate`: dead letters go round again, spread over time."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with three jobs that failed and one that did not."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        async with apps.make() as processor:
            await processor.schedule_jobs(["fail"] * 3)
            await processor.schedule_job("greet", {"name": "a"})
            await processor.run_worker(burst=True)

    asyncio.run(fill())
    return db_url


def test_dead_letters_are_replayed(cli: Cli, db: str) -> None:
    """All that are errored, and nothing else, where nothing else is said; in time, as asked."""
    assert cli("jobs", "replay", "--dry-run", "--json").json == {"action": "retry", "selected": 3}
    done = cli("jobs", "replay", "--rate", "1/h", "--yes", "--json").json
    assert done == {"action": "retry", "done": 3, "left": 0}
    waiting = cli("jobs", "--name", "fail", "--status", "pending", "--json").json["jobs"]
    assert len({job["scheduled_for"][:13] for job in waiting}) == 3  # each in an hour of its own
    assert len(cli("jobs", "--status", "finished", "--json").json["jobs"]) == 1


def test_one_of_them(cli: Cli, db: str) -> None:
    """By its id, with a rate or without one; a selection by status stays what it says."""
    first, second, _ = (
        job["_id"] for job in cli("jobs", "--status", "errored", "--json").json["jobs"]
    )
    assert "waits to be run again" in cli("jobs", "replay", first).text
    assert cli("jobs", "retry", second, "--rate", "5/m", "--json").json["done"] == 1
    assert cli("jobs", "replay", "--status", "finished", "--yes", "--json").json["done"] == 1


def test_what_is_refused(cli: Cli, db: str) -> None:
    """A rate that is none, and one for what is no retry, before anything is done."""
    cli("jobs", "replay", "--rate", "fast", "--yes").refused("--rate: 'fast'", "100/m")
    cli("jobs", "kill", "--status", "pending", "--rate", "1/s").refused("--rate", "jobs replay")
    assert len(cli("jobs", "--status", "errored", "--json").json["jobs"]) == 3
