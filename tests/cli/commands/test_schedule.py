"""`schedule`: payloads and times from text, and what is said about what was stored."""

from __future__ import annotations

import asyncio
import io
import sys
from datetime import UTC, datetime, timedelta

import pytest

from job_processor import JobDef, JobProcessor
from job_processor.values import MAX_BYTES
from tests.cli.conftest import Cli
from tests.definitions import nothing

APP = "tests.cli.apps:make"


@pytest.fixture
def schedule(cli: Cli, monkeypatch: pytest.MonkeyPatch, sqlite_db_url: str) -> Cli:
    """`schedule APP …` on a fresh file."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", sqlite_db_url)
    return lambda *arguments: cli("schedule", APP, *arguments)


def test_on_each_store(cli: Cli, monkeypatch: pytest.MonkeyPatch, db_url: str) -> None:
    """A scheduled job is in the database."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    job = cli("schedule", APP, "greet", "--payload", '{"name": "Ada"}', "--json").json
    assert (job["status"], job["payload"]) == ("pending", {"name": "Ada"})
    assert cli("jobs", "--json").json["jobs"] == [job]


def test_says_what_it_stored(schedule: Cli) -> None:
    """A person reads the name, the id and when it is due."""
    assert schedule("greet").text.endswith("), due now.\n")
    assert schedule("greet", "--at", "2h").text.endswith("), due in 2 h.\n")


def test_says_that_it_was_skipped(schedule: Cli) -> None:
    """A job that was stored as skipped is not told as scheduled; the one in its way is named."""
    first = schedule("only_one", "--json").json["_id"]
    assert f"as skipped: it is exclusive, and {first} is active" in schedule("only_one").text


def test_payload_from_stdin(schedule: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--payload -` reads it from stdin, and null is no payload."""
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"name": "é"}'))
    assert schedule("greet", "--payload", "-", "--json").json["payload"] == {"name": "é"}
    assert schedule("greet", "--payload", "null", "--json").json["payload"] is None


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("", "Expecting value"),
        ("{", "--payload: <a str>"),
        ("[1]", 'allowed is a JSON object such as {"id": 1}'),
        ('"text"', "allowed is a JSON object"),
        ("5", "allowed is a JSON object"),
        ("NaN", "allowed is a JSON object"),
        ('{"a": NaN}', "--payload.a: <a float> is not allowed"),
        ('{"a": 1e999}', "--payload.a: <a float> is not allowed"),
        ('{"a": 99999999999999999999}', "whole numbers of 64 bits"),
        ('{"a": "\\ud800"}', "--payload.a: "),
        ("[" * 100_000, "it nests too deep"),
        ('{"a":' * 200 + "1" + "}" * 200, "at most 90 levels"),
        (f'{{"a": "{"x" * MAX_BYTES}"}}', f"at most {MAX_BYTES:,} bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_payloads_that_are_not_allowed(schedule: Cli, payload: str, problem: str) -> None:
    """A payload that is no JSON object, or cannot be kept, is refused; the message stays short."""
    result = schedule("greet", "--payload", payload)
    result.refused("--payload", "allowed", problem)
    assert len(result.err) < 500


def test_stdin_that_is_no_text(schedule: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8 are refused."""
    stdin = io.TextIOWrapper(io.BytesIO(b"\xff{}"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    schedule("greet", "--payload", "-").refused("--payload", "can't decode byte 0xff")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("5m", 300), ("1.5h", 5400), ("1d", 86_400), (" 0s ", 0)]
)
def test_delays(schedule: Cli, text: str, seconds: int) -> None:
    """`--at` takes a delay from now."""
    job = schedule("greet", "--at", text, "--json").json
    due, made = (datetime.fromisoformat(job[key]) for key in ("scheduled_for", "created_at"))
    assert due - made == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["2030-01-31T08:00+01:00", "2030-01-31T07:00Z"])
def test_times(schedule: Cli, text: str) -> None:
    """`--at` takes a time with its zone."""
    job = schedule("greet", "--at", text, "--json").json
    assert datetime.fromisoformat(job["scheduled_for"]) == datetime(2030, 1, 31, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "5x", "-5m", "5 m", "tomorrow", "2030-13-01T00:00Z", "2030-01-01T00:00"),
        *("2030-01-01", "999999999d", "9" * 400 + "d"),
        *("0001-01-01T00:00+23:00", "9999-12-31T23:59-12:00"),
    ],
)
def test_times_that_are_not_allowed(schedule: Cli, text: str) -> None:
    """A time without a zone, out of range or in another form is refused as it was typed."""
    schedule("greet", "--at", text).refused(f"--at: '{text[:20]}", "ISO 8601", "10s, 5m")


def test_after_others(schedule: Cli, cli: Cli) -> None:
    """`--after` takes ids of jobs and of groups, as often as there are some; a failure skips it."""
    first, other = (schedule("greet", "--json").json["_id"] for _ in range(2))
    told = schedule("greet", "--after", first, "--after", other).text
    assert told.endswith("; it waits for the end of what it comes after.\n")
    rule = ("--on-parent-failure", "run")
    job = schedule("greet", "--after", other, *rule, "--json").json
    assert (job["after"], job["on_parent_failure"]) == ([other], "run")
    cli("jobs", "kill", first)
    assert schedule("greet", "--after", first).text.endswith(
        f" as skipped: parent {first} killed.\n"
    )


def test_after_a_group(schedule: Cli, sqlite_db_url: str) -> None:
    """Its id is told from that of a job."""

    async def opened() -> str:
        async with JobProcessor(sqlite_db_url, jobs={"a": JobDef(nothing)}) as processor:
            return str((await processor.schedule_group("a", [{}])).id)

    group = asyncio.run(opened())
    assert schedule("greet", "--after", group, "--json").json["after"] == [f"g:{group}"]


def test_after_what_is_not_there(schedule: Cli) -> None:
    """What is no id, an id of nothing, a rule that is none, and a rule for nothing are refused."""
    unknown = "0" * 24
    schedule("greet", "--after", "7").refused("--after: '7'")
    schedule("greet", "--after", unknown).refused(f"--after: '{unknown}'", "nothing of this id")
    schedule("greet", "--after", unknown, "--on-parent-failure", "stop").refused(
        "--on-parent-failure: 'stop'", "'skip' (the default), 'run' and 'wait'"
    )
    schedule("greet", "--on-parent-failure", "run").refused("give that")


@pytest.mark.parametrize("name", ["", "nope", "new_year", "\udcff"])
def test_unknown_names(schedule: Cli, name: str) -> None:
    """A name that is no job of APP is refused, and those that are, are listed."""
    schedule(name).refused(f"NAME: {name!r}", "'fail', 'greet'")


def test_a_database_in_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that would be lost as soon as the command ends is refused."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", "sqlite://")
    cli("schedule", APP, "greet").refused(f"the database of '{APP}' is in memory")
