"""What a job comes after and before, on the command line; retries with what was skipped."""

from __future__ import annotations

import asyncio

import pytest

from job_processor import JobDef, JobProcessor
from tests.cli.conftest import Cli


async def fails() -> None:
    """Fail."""
    raise ValueError("no")


async def fill() -> tuple[str, str]:
    """Run a parent that fails, with two children; return the ids of the first two."""
    async with JobProcessor(jobs={"extract": JobDef(fails), "load": JobDef(fails)}) as processor:
        parent = await processor.schedule_job("extract")
        child = await processor.schedule_job("load", after=parent)
        await processor.schedule_job("load", after=[parent, child], on_parent_failure="wait")
        await processor.run_worker(burst=True)
    return str(parent.id), str(child.id)


@pytest.fixture
def ids(db_url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The ids of a parent that failed, and of what was skipped because of it."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return asyncio.run(fill())


def test_both_sides_are_shown(cli: Cli, ids: tuple[str, str]) -> None:
    """Each with its state, its name and its id, as text and as JSON."""
    parent, child = ids
    text = cli("jobs", "show", parent).text
    lines = [line.split() for line in text.partition("Followed by\n")[2].splitlines()[:2]]
    assert [line[:2] for line in lines] == [["skipped", "load"], ["pending", "load"]]
    assert lines[0][2] == child
    assert "Comes after\nerrored  extract  " in cli("jobs", "show", child).text
    shown = cli("jobs", "show", child, "--json").json
    assert (shown["after"], shown["on_parent_failure"]) == ([parent], "skip")
    assert shown["parents"] == [{"_id": parent, "name": "extract", "status": "errored"}]
    assert [each["status"] for each in shown["children"]] == ["pending"]


def test_one_that_waits_says_so(cli: Cli, ids: tuple[str, str]) -> None:
    """It is parked, and the row says for what."""
    waiting = cli("jobs", "show", ids[0], "--json").json["children"][1]["_id"]
    assert "the end of what it comes after" in cli("jobs", "show", waiting).text


def test_a_retry_with_descendants(cli: Cli, ids: tuple[str, str]) -> None:
    """What was skipped waits again, for one job and for many; no other action takes it."""
    parent, child = ids
    assert cli("jobs", "retry", parent, "--descendants").code == 0
    assert cli("jobs", "show", child, "--json").json["status"] == "pending"
    assert cli("jobs", "retry", "--name", "load", "--descendants", "--yes").code == 0
    told = cli("jobs", "kill", parent, "--descendants")
    assert told.code == 2
    assert "--descendants: only `jobs retry` takes it" in told.err
