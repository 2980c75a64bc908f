"""`jobs`: chosen by tag, and told apart by the first fields of their payloads."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli, Start
from tests.cli.processes import COLUMNS

PAYLOAD = {
    "name": "Ada " + "x" * 200,
    "n": 3,
    "api_key": "k3y-of-somebody",
    "card": {"number": "4111111111111111", "pin": "9876"},
    "fifth": "not shown",
}


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a job of each of two names, one of which has a tag."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        async with apps.make() as processor:
            await processor.schedule_job("greet", PAYLOAD)
            await processor.schedule_job("fail")

    asyncio.run(fill())
    return db_url


def test_by_tag(cli: Cli, monkeypatch: pytest.MonkeyPatch, db: str) -> None:
    """By those that programs have listed in the database, or those of the application."""
    tagged = ("jobs", "--type", "simple", "--tag", "tagged")
    for app in ("", "tests.cli.apps:make"):
        monkeypatch.setenv("JOB_PROCESSOR_APP", app)
        assert [job["name"] for job in cli(*tagged, "--json").json["jobs"]] == ["fail"]
        assert "greet" not in cli(*tagged).text
        assert cli(*tagged, "--name", "greet", "--json").json["jobs"] == []
        cli("jobs", "--tag", "tag").refused("--tag: 'tag'", "known here are 'tagged'")
        counted = cli("jobs", "kill", "--tag", "tagged", "--dry-run", "--json").json
        assert counted == {"action": "kill", "selected": 1}
    done = cli("jobs", "kill", "--tag", "tagged", "--yes", "--json").json
    assert done == {"action": "kill", "done": 1, "left": 0}


def test_the_first_fields_of_a_payload(cli: Cli, monkeypatch: pytest.MonkeyPatch, db: str) -> None:
    """On the line of its job, cut, and without what it hides, however wide the terminal is."""
    for columns in (80, 119, 120, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = cli("jobs", "--name", "greet").text
        assert 'name="Ada xx' in text
        assert max(map(len, text.splitlines())) <= columns
        assert "k3y" not in text
        assert "not shown" not in text
    monkeypatch.setenv("COLUMNS", "400")
    text = cli("jobs", "--name", "greet").text
    for part in ("n=3", "api_key=[redacted]", "card={"):
        assert part in text
    assert "9876" not in text
    assert "k3y-of-somebody" in cli("jobs", "--name", "greet", "--reveal").text


def test_json_hides_the_same(cli: Cli, db: str) -> None:
    """`--json` prints whole jobs, without what they hide; so does the status."""
    (job,) = cli("jobs", "--name", "greet", "--json").json["jobs"]
    assert job["payload"] == {
        **PAYLOAD,
        "api_key": "[redacted]",
        "card": {"number": "4111111111111111", "pin": "[redacted]"},
    }
    assert "k3y" not in cli("status", "--json").out
    (job,) = cli("jobs", "--name", "greet", "--json", "--reveal").json["jobs"]
    assert job["payload"] == PAYLOAD


def test_on_a_terminal_it_fits(start: Start, sqlite_db_url: str) -> None:
    """No line is wider than the terminal, so none is broken."""

    async def fill() -> None:
        async with apps.make(db=sqlite_db_url) as processor:
            await processor.schedule_job("greet", PAYLOAD)

    asyncio.run(fill())
    process = start("jobs", "--type", "simple", db=sqlite_db_url, terminal=True)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[\d*m", "", process.output).splitlines()
    assert len([line for line in lines if "greet" in line]) == 1
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize(
    "words",
    [["jobs", "--db", "x", "show", "0" * 24], ["crons", "--json", "run", "x"]],
    ids=" ".join,
)
def test_options_before_a_command(cli: Cli, words: list[str]) -> None:
    """Are refused: the command would not hear of them, and look elsewhere."""
    cli(*words).refused(words[1], f"job-processor {words[0]} {words[-2]} … {words[1]}")
