"""`jobs retry`, `kill` and `delete` on several jobs and on selections."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli, Start

UNKNOWN = "0123456789abcdef01234567"


@pytest.fixture
def failed(db_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of three jobs that failed; one that succeeded is there, too."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> list[str]:
        async with apps.make() as processor:
            jobs = await processor.schedule_jobs([("fail", {"n": n}) for n in range(3)])
            await processor.schedule_job("greet", {"name": "Ada"})
            await processor.run_worker(burst=True)
        return [str(job.id) for job in jobs]

    return asyncio.run(fill())


def test_jobs_that_are_named_and_selected(cli: Cli, failed: list[str]) -> None:
    """Each action is done to those that are meant and to no other; a selection asks first."""
    select = ("--name", "fail", "--since", "1h", "--error", "luck")
    assert len(cli("jobs", *select, "--json").json["jobs"]) == 3
    assert cli("jobs", "list", "--payload", "n=1", "--json").json["jobs"][0]["_id"] == failed[1]
    assert cli("jobs", "--until", "1h", "--type", "simple", "--json").json["jobs"] == []
    counted = cli("jobs", "retry", *select, "--dry-run", "--json").json
    assert counted == {"action": "retry", "selected": 3}
    cli("jobs", "retry", *select).refused("--yes", "3 jobs selected")
    acted = cli("jobs", "retry", *select, "--yes", "--json").json
    assert acted == {"action": "retry", "done": 3, "left": 0}
    assert "Killed, or asked to stop: 2 jobs." in cli("jobs", "kill", *failed[:2]).text
    again = cli("jobs", "kill", *failed)
    assert (again.code, again.err) == (1, "")
    assert "Killed, or asked to stop: 1 job. 2 left as they are: they had ended." in again.out
    assert f"Deleted job {failed[0]}." in cli("jobs", "delete", failed[0]).text
    cli("jobs", "delete", UNKNOWN).refused(UNKNOWN)
    gone = cli("jobs", "delete", "--status", "killed", "--yes", "--json").json
    assert gone == {"action": "delete", "done": 2, "left": 0}
    left = cli("jobs", "--type", "simple", "--json").json["jobs"]
    assert [job["name"] for job in left] == ["greet"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["delete"], ["give one of the two", "options that select"]),
        (["delete", UNKNOWN, "--status", "killed"], ["give one of the two"]),
        (["delete", "--status", "gone"], ["--status: 'gone'"]),
        (["kill", UNKNOWN, "x"], ["ID: 'x'", "24 hex digits"]),
        (["retry", "--since", "soon", "--yes"], ["--since: 'soon'", "ISO 8601"]),
        (["retry", "--payload", "n", "--yes"], ["--payload: <a str>", "user.id=7"]),
        (["retry", "--worker", "w", "--yes"], ["--worker: 'w'"]),
    ],
)
def test_what_is_not_allowed(cli: Cli, arguments: list[str], parts: list[str]) -> None:
    """Nothing is done, and the message names the option."""
    cli("jobs", *arguments).refused(*parts)


async def test_on_a_terminal_it_asks(start: Start, sqlite_db_url: str) -> None:
    """Whoever does not agree changes nothing, and the exit code says so."""
    async with apps.make(db=sqlite_db_url) as processor:
        await processor.schedule_jobs([("only_one",)] * 2)
        process = start("jobs", "delete", "--status", "skipped", db=sqlite_db_url, terminal=True)
        process.until("Delete 1 job? [y/N]")
        process.type("n\n")
        process.until("Nothing was done.")
        assert process.wait() == 1
        assert await processor.count_jobs(type="simple") == 2


@pytest.mark.slow
async def test_a_bar_is_on_stderr_and_on_a_terminal_only(start: Start, sqlite_db_url: str) -> None:
    """What takes long shows how far it has come; without a terminal there is nothing of it."""
    async with apps.make(db=sqlite_db_url) as processor:
        many = [("greet", {"name": str(n)}) for n in range(1200)]
        await processor.schedule_jobs(many, return_jobs=False)
        process = start("jobs", "kill", "--name", "greet", "--yes", db=sqlite_db_url, terminal=True)
        process.until("/1200")
        process.until("Killed, or asked to stop: 1200 jobs.")
        assert process.wait() == 0
        process = start("jobs", "delete", "--name", "greet", "--yes", "--json", db=sqlite_db_url)
        assert process.wait() == 0
    assert process.output == '{"action": "delete", "done": 1200, "left": 0}\n'
