"""`schedules`: put, listed, shown, paused and removed, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from job_processor import JobProcessor
from tests.cli.conftest import Cli

APP = """
from job_processor import JobProcessor

processor = JobProcessor()


@processor.job
def digest(user: int, password: str = "") -> None: ...
"""


@pytest.fixture
def app(db_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An application on a database that is there."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    (tmp_path / "digests.py").write_text(APP)

    async def make() -> None:
        async with JobProcessor():
            pass

    asyncio.run(make())
    return "digests:processor"


def put(cli: Cli, app: str, *more: str, name: str = "digest:1") -> str:
    """Put a schedule, and return what was said."""
    payload = '{"user": 1, "password": "hush"}'
    given = ("--job", "digest", "--cron", "0 8 * * *", "--payload", payload, "--app", app, *more)
    return cli("schedules", "put", name, *given).text


def test_one_is_put_listed_and_shown(cli: Cli, app: str) -> None:
    """With what it makes and when; a password of its payload is hidden from a reader."""
    assert "There is no schedule in" in cli("schedules").text
    text = put(cli, app, "--timezone", "Europe/Paris", "--limit", "3")
    assert "0 8 * * * in Europe/Paris" in text
    assert "0 of 3" in text
    assert "hush" not in text
    put(cli, app, name="digest:2")
    listed = cli("schedules").text
    assert "digest:1" in listed
    assert "digest:2" in listed
    assert "in Europe/Paris" in listed
    page = cli("schedules", "list", "--json", "--limit", "1").json
    assert [each["name"] for each in page["schedules"]] == ["digest:1"]
    assert page["next"] == "digest:1"
    assert "--after digest:1" in cli("schedules", "--limit", "1").text
    rest = cli("schedules", "list", "--after", page["next"], "--job", "digest", "--json").json
    assert [each["name"] for each in rest["schedules"]] == ["digest:2"]
    shown = cli("schedules", "show", "digest:1", "--json").json
    assert (shown["timezone"], shown["limit"], shown["rev"]) == ("Europe/Paris", 3, 1)
    assert cli("schedules", "show", "digest:1").text.count("UTC, in") == 3


def test_one_is_paused_resumed_and_removed(cli: Cli, app: str) -> None:
    """Each stands in the audit; a put of the same is no change."""
    put(cli, app)
    put(cli, app)
    assert cli("schedules", "pause", "digest:1", "--json").json["paused"] is True
    assert "paused" in cli("schedules").text
    assert cli("schedules", "resume", "digest:1", "--json").json["paused"] is False
    assert cli("schedules", "show", "digest:1", "--json").json["rev"] == 1
    assert "is removed" in cli("schedules", "remove", "digest:1", "--yes").text
    cli("schedules", "remove", "digest:1", "--yes").refused("there is no schedule 'digest:1'")

    async def audit() -> list[str]:
        async with JobProcessor() as processor:
            return [entry.action for entry in await processor.get_audit()]

    actions = asyncio.run(audit())
    assert actions[::-1] == [
        *("put_schedule", "put_schedule", "pause_schedule", "resume_schedule"),
        "remove_schedule",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "none"), "there is no schedule 'none'"),
        (("pause", "none"), "there is no schedule 'none'"),
        (("show", " "), "NAME"),
        (("list", "--limit", "0"), "--limit"),
        (("put", "a", "--cron", "0 8 * * *"), "--job"),
        (("put", "a", "--job", "digest"), "--cron"),
        (("put", "a", "--job", "digest", "--cron", "0 25 * * *"), "--cron"),
        (("put", "a", "--job", "digest", "--every", "soon"), "--every"),
        (("put", "a", "--job", "digest", "--every", "5m", "--misfire", "never"), "--misfire"),
        (("put", "a", "--job", "digest", "--every", "5m", "--start", "soon"), "--start"),
        (("put", "a", "--job", "digest", "--every", "5m", "--limit", "many"), "--limit"),
        (("put", "a", "--job", "digset", "--every", "5m"), "did you mean 'digest'"),
        (("put", "a", "--job", "digest", "--every", "5m"), "user"),
        (("put", "a", "--job", "digest", "--every", "5m", "--payload", "{"), "--payload"),
    ],
)
def test_what_cannot_be_is_refused(
    cli: Cli, app: str, arguments: tuple[str, ...], told: str
) -> None:
    """With exit code 2, the option and what is allowed; no traceback."""
    cli("schedules", *arguments, "--app", app).refused(told)


def test_an_interval_is_put(cli: Cli, app: str) -> None:
    """With a start, which is its first moment."""
    given = ("--job", "digest", "--every", "45s", "--payload", '{"user": 1}', "--app", app)
    start = ("--start", "2040-01-01T00:00:00Z", "--end", "2041-01-01T00:00:00Z")
    made = cli("schedules", "put", "poll:1", *given, *start, "--json").json
    assert (made["every"], made["next"]) == (45, "2040-01-01T00:00:00.000Z")


def test_an_application_is_needed_to_put(cli: Cli, app: str) -> None:
    """The error says how to name one."""
    result = cli("schedules", "put", "a", "--job", "digest", "--every", "5m")
    result.refused("is the name of a job of which application?")
