"""`status`, `jobs`, `crons` and `kill`: tables for people, JSON for programs, on both stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli

UNKNOWN = "0123456789abcdef01234567"


@pytest.fixture
def ids(db_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The ids of one finished, one errored, one skipped and one pending job, by their status."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return asyncio.run(_fill())


async def _fill() -> dict[str, str]:
    async with apps.make() as processor:
        finished = await processor.schedule_job("greet", {"name": "Ada"})
        errored = await processor.schedule_job("fail")
        await processor.run_worker(burst=True)
        pending = await processor.schedule_job("only_one")
        skipped = await processor.schedule_job("only_one")
    jobs = {"finished": finished, "errored": errored, "pending": pending, "skipped": skipped}
    return {status: str(job.id) for status, job in jobs.items()}


def test_everything_about_a_database(cli: Cli, ids: dict[str, str]) -> None:
    """Each command shows what is there, as a table and as JSON, and kills once."""
    _check_jobs(cli, ids)
    _check_status(cli, ids)
    _check_crons(cli)
    _check_kill(cli, ids)


def _check_jobs(cli: Cli, ids: dict[str, str]) -> None:
    text = cli("jobs", "--type", "simple").text
    assert all(id in text for id in ids.values())
    assert '"Hello, Ada!"' in text
    assert "ValueError:  [31mno" in text  # nothing in it can steer the terminal
    assert f"{ids['pending']} is active" in text
    for status, id in ids.items():
        found = cli("jobs", "--type", "simple", "--status", status, "--json").json
        assert [job["_id"] for job in found["jobs"]] == [id]
    named = cli("jobs", "--name", "greet", "--json").json
    assert [job["output"]["result"] for job in named["jobs"]] == ["Hello, Ada!"]
    assert _pages(cli) == sorted(ids.values(), reverse=True)


def _pages(cli: Cli) -> list[str]:
    """Return the ids of all jobs, read in pages of 3 as the hint below the table says."""
    first = ("jobs", "--type", "simple", "--limit", "3")
    found: Any = cli(*first, "--json").json
    listed = [job["_id"] for job in found["jobs"]]
    assert len(listed) == 3
    assert f"There are more: --after {found['next']}" in cli(*first).text
    found = cli(*first, "--after", found["next"], "--json").json
    assert found["next"] is None
    return listed + [job["_id"] for job in found["jobs"]]


def _check_status(cli: Cli, ids: dict[str, str]) -> None:
    status = cli("status", "--json").json
    assert set(status) == {"now", "workers", "queue", "jobs", "crons"}
    assert [job["_id"] for job in status["queue"]] == [ids["pending"]]
    text = cli("status").text
    for part in ("0 workers, 1 job due", "only_one", "new_year", "0 0 1 1 *", "Due first"):
        assert part in text


def _check_crons(cli: Cli) -> None:
    (group,) = cli("crons", "--json").json
    assert group["cron"]["name"] == "new_year"
    assert "new_year" in cli("crons").text


def _check_kill(cli: Cli, ids: dict[str, str]) -> None:
    assert cli("kill", ids["pending"], "--json").json["status"] == "killed"
    assert "Nothing to do" in cli("kill", ids["pending"]).text
    assert "was finished already" in cli("kill", ids["finished"]).text
    cli("kill", UNKNOWN).refused(UNKNOWN)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["jobs", "--status", "cancelled"], ["--status: 'cancelled'", "'pending', 'running'"]),
        (["jobs", "--status", "Failed"], ["--status: 'Failed'", "did you mean 'errored'?"]),
        (["jobs", "--type", "cron"], ["--type: 'cron'", "'simple' and 'cron_task'"]),
        (["jobs", "--limit", "many"], ["--limit: 'many'", "a whole number"]),
        (["jobs", "--limit", "0"], ["--limit: 0", "at least 1"]),
        (["jobs", "--limit", "1001"], ["--limit: 1001", "at most 1000"]),
        (["jobs", "--after", "later"], ["--after: 'later'", "24 hex digits"]),
        (["jobs", "--name", "\udcff"], ["--name: '\\udcff'", "UTF-8"]),
        (["kill", ""], ["ID: ''", "24 hex digits"]),
        (["kill", "x" * 24], ["ID: 'xxx", "24 hex digits"]),
        (["kill", "\x1b[31m"], ["ID: '\\x1b[31m'"]),
        (["worker", "tests.cli.apps:make", "--concurrency", "x"], ["--concurrency: 'x'"]),
        (["worker", "tests.cli.apps:make", "--concurrency", "0"], ["--concurrency: 0"]),
        (["worker", "tests.cli.apps:make", "--loop", "x"], ["--loop: 'x'", "auto, asyncio"]),
        (["worker", "tests.cli.apps:make", "--tags", " , "], ["--tags: ' , '", "mail,video"]),
        (["worker", "tests.cli.apps:make", "--log-level", "loud"], ["--log-level: 'loud'", "info"]),
        (["worker", "tests.cli.apps:make", "--log-format", "x"], ["--log-format: 'x'", "json"]),
        (["worker", "tests.cli.apps:make", "--metrics-port", "x"], ["--metrics-port: 'x'"]),
        (["worker", "tests.cli.apps:make", "--metrics-port", "70000"], ["--metrics-port: '70000'"]),
    ],
)
def test_options_that_are_not_allowed(cli: Cli, arguments: list[str], parts: list[str]) -> None:
    """The message names the option as it is typed, the value, and what is allowed."""
    cli(*arguments).refused(*parts)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nope"], "nope"),
        (["--nope"], "--nope"),
        (["status", "--nope"], "--nope"),
        (["status", "more"], "more"),
        (["worker"], "APP"),
        (["schedule", "app:x"], "NAME"),
        (["kill"], "ID"),
        (["jobs", "--limit"], "--limit"),
    ],
)
def test_usage_errors(cli: Cli, arguments: list[str], part: str) -> None:
    """What is no command, option or argument is named."""
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert part in result.err
    assert "Error: " in result.err
    assert "Traceback" not in result.err
