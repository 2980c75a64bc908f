"""`scaling`: what waits, and how many workers it takes."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which jobs wait, two of them with a tag, and nobody runs any."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        async with apps.make() as processor:
            await processor.schedule_jobs([("greet", {"name": "a"})] * 3)
            await processor.schedule_jobs(["fail"] * 2)

    asyncio.run(fill())
    return db_url


def test_a_fleet_at_zero(cli: Cli, db: str) -> None:
    """By the database alone: as JSON and in words, of all jobs and of those with a tag."""
    found = cli("scaling", "--json").json
    assert (found["waiting"], found["running"], found["workers"], found["capacity"]) == (5, 0, 0, 0)
    assert cli("scaling", "--tag", "tagged", "--json").json["waiting"] == 2
    assert cli("scaling", "--name", "greet", "--name", "fail", "--json").json["waiting"] == 5
    told = cli("scaling", "--tag", "tagged", "--concurrency", "1", "--max", "1").text
    assert "2 jobs waiting, the first for" in told
    assert "0 workers with room for 0 jobs; 1 wanted." in told
    assert cli("scaling", "--min", "3", "--json").json["wanted"] == 3


@pytest.mark.parametrize(
    "arguments",
    [("--min", "x"), ("--min", "-1"), ("--max", "x"), ("--concurrency", "0"), ("--tag", "")],
)
def test_what_is_refused(cli: Cli, db: str, arguments: tuple[str, str]) -> None:
    """In one line that names the option or what it stands for."""
    cli("scaling", *arguments).refused(arguments[0].strip("-"))
