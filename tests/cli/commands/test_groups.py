"""`job-processor groups`: lists, one in detail, waited for, killed and retried."""

from __future__ import annotations

import asyncio

import pytest
from bson import ObjectId

from job_processor import JobDef, JobProcessor
from tests.cli.conftest import Cli
from tests.definitions import nothing


async def odd(n: int) -> int:
    """Fail for even numbers."""
    if n % 2 == 0:
        raise ValueError(f"no {n}")
    return n


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that commands find."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return db_url


def filled(db: str, *, run: bool) -> str:
    """Store a group of three, one of which fails; return its id."""

    async def fill() -> str:
        jobs = {"load": JobDef(odd), "zip": JobDef(nothing), "alert": JobDef(nothing)}
        async with JobProcessor(db, jobs=jobs) as processor:
            payloads = [{"n": n} for n in (1, 2, 3)]
            group = await processor.schedule_group("load", payloads, then="zip", catch="alert")
            if run:
                await processor.run_worker(burst=True)
            return str(group.id)

    return asyncio.run(fill())


def test_groups_are_listed(cli: Cli, db: str) -> None:
    """Each with how many of its members have ended, and what follows."""
    group = filled(db, run=True)
    listed = cli("groups").text
    assert all(part in listed for part in (group, "3/3", "then zip, catch alert"))
    (one,) = cli("groups", "list", "--json").json
    assert (one["_id"], one["status"], one["counts"]["failed"]) == (group, "errored", 1)
    assert cli("groups", "--after", group, "--json").json == []
    assert "There are no groups in" in cli("groups", "--prefix", "other").text


def test_one_is_shown(cli: Cli, db: str) -> None:
    """All members of a name are one row, and those that failed are listed."""
    group = filled(db, run=True)
    shown = cli("groups", "show", group).text
    assert all(part in shown for part in ("load", "ValueError: no 2", "followed by"))
    counts = cli("groups", "show", group, "--json").json["counts"]
    assert counts["by_name"] == {"load": {"finished": 2, "errored": 1}}
    members = cli("jobs", "--group", group, "--json").json["jobs"]
    assert [job["group"] for job in members] == [group] * 3
    (callback,) = cli("jobs", "--name", "alert", "--json").json["jobs"]
    assert callback["callback_of"] == group
    assert f"groups show {group}" in cli("jobs", "show", callback["_id"]).text


def test_one_is_killed_and_sent_round_again(cli: Cli, db: str) -> None:
    """What was done is said, with where the group stands then."""
    group = filled(db, run=False)
    done = "3 members killed, or asked to stop; it is errored now."
    assert cli("groups", "kill", group).text.strip() == f"Group {group}: {done}"
    again = cli("groups", "retry", group, "--json").json
    assert (again["done"], again["group"]["status"], again["group"]["round"]) == (3, "running", 2)


def test_one_is_waited_for(cli: Cli, db: str) -> None:
    """Exit code 1 unless all members have finished."""
    group = filled(db, run=True)
    waited = cli("groups", "wait", group)
    assert (waited.code, waited.out.strip()) == (1, f"Group {group} has errored: 3/3, 1 failed.")
    late = filled(db, run=False)
    cli("groups", "wait", late, "--timeout", "0.1").refused("has not ended within 0.1 s", code=1)


@pytest.mark.parametrize("command", ["show", "kill", "retry", "wait"])
def test_bad_input(cli: Cli, db: str, command: str) -> None:
    """An id that is none, or of no group, is told without a traceback."""
    filled(db, run=False)
    cli("groups", command, "no-id").refused("24 hex digits")
    unknown = str(ObjectId())
    cli("groups", command, unknown).refused(f"there is no group {unknown}", code=1)
