"""What the command line changes stands in the audit with who did it, as that of the dashboard."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket

import pytest

from job_processor import JobProcessor
from job_processor.cli.app import auditing
from tests.cli import apps
from tests.cli.conftest import Cli

UNKNOWN = "0123456789abcdef01234567"
APP = "tests.cli.apps:make"


@pytest.fixture
def ids(db_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of jobs that failed."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> list[str]:
        async with apps.make() as processor:
            jobs = await processor.schedule_jobs([("fail", {"secret": "s3cret"})] * 5)
            await processor.run_worker(burst=True)
        return [str(job.id) for job in jobs]

    return asyncio.run(fill())


def noted(db: str) -> list[tuple[str, str, str | None]]:
    """Return what was done, to what, and what came of it, the first first."""

    async def read() -> list[tuple[str, str, str | None]]:
        async with JobProcessor(db) as processor:
            entries = await processor.get_audit()
        assert {each.who for each in entries} == {auditing.who()}
        return [(each.action, each.subject, each.outcome) for each in reversed(entries)]

    return asyncio.run(read())


def test_every_change_has_its_entry(cli: Cli, ids: list[str], db_url: str) -> None:
    """Whatever changes something is there, what only looks or asks is not."""
    first, second, *rest = ids
    made = cli("schedule", APP, "greet", "--json").json["_id"]
    for command in (
        ["jobs"],
        ["status"],
        ["kill", made],
        ["jobs", "retry", first],
        ["jobs", "delete", second],
        ["jobs", "retry", "--name", "fail", "--payload", "secret=s3cret", "--dry-run"],
        ["jobs", "retry", "--status", "errored", "--payload", "secret=s3cret", "--yes"],
        ["jobs", "kill", *rest[:2]],
        ["pause", "greet"],
        ["pause", "--tag", "tagged"],
        ["resume", "greet"],
        ["resume", "greet"],
        ["crons", "run", "new_year"],
        ["crons", "pause", "new_year"],
        ["crons", "resume", "new_year"],
        ["crons", "remove", "new_year", "--yes"],
    ):
        assert cli(*command).code == 0, command
    assert cli("jobs", "retry", made, "--json").code == 0
    assert cli("jobs", "retry", UNKNOWN).code == 2
    assert cli("pause", "nosuchname").code == 2
    assert noted(db_url) == [
        ("schedule", "greet", "done"),
        ("kill", made, "done"),
        ("retry", first, "done"),
        ("delete", second, "done"),
        ("retry", "all with status=errored, payload", "3 done, 0 left"),
        ("kill", ", ".join(rest[:2]), "2 done, 0 left"),
        ("pause", "greet", "done"),
        ("pause", "tag tagged", "done"),
        ("resume", "greet", "done"),
        ("run_cron", "new_year", "done"),
        ("pause", "new_year", "done"),
        ("resume", "new_year", "done"),
        ("remove_cron", "new_year", "done"),
        ("retry", made, "done"),
        ("retry", UNKNOWN, "refused: JobNotFoundError"),
    ]


def test_who_is_who_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """user@host, whatever variables say; a number where the user has no name."""
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    name = pwd.getpwuid(os.getuid()).pw_name
    assert auditing.who() == f"{name}@{socket.gethostname()}"
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert auditing.who() == f"{2**31 - 7}@{socket.gethostname()}"
