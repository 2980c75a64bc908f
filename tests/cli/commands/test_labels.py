"""`--label`: given to a job, found by, acted on."""

from __future__ import annotations

import asyncio

import pytest

from job_processor import JobDef, JobProcessor, JobRequest
from tests.cli.conftest import Cli
from tests.definitions import nothing


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with three jobs, two of which have labels, that commands find."""

    async def fill() -> None:
        async with JobProcessor(db_url, jobs={"digest": JobDef(nothing)}) as processor:
            requests = [JobRequest("digest", labels=given) for given in (["a"], ["a", "b"], None)]
            await processor.schedule_jobs(requests)

    asyncio.run(fill())
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return db_url


def test_jobs_are_listed_by_label(cli: Cli, db: str) -> None:
    """One, or several, all of which a job has to have; the page of one shows them."""
    assert len(cli("jobs", "--label", "a", "--json").json["jobs"]) == 2
    (both,) = cli("jobs", "list", "--label", "a", "--label", "b", "--json").json["jobs"]
    assert both["labels"] == ["a", "b"]
    assert "a, b" in cli("jobs", "show", both["_id"]).text
    assert "There are no such jobs" in cli("jobs", "--label", "none").text


def test_jobs_are_acted_on_by_label(cli: Cli, db: str) -> None:
    """Without an id the label selects, and the audit tells by what."""
    done = cli("jobs", "kill", "--label", "a", "--yes", "--json").json
    assert (done["done"], done["left"]) == (2, 0)
    assert len(cli("jobs", "--label", "a", "--status", "killed", "--json").json["jobs"]) == 2


def test_a_wrong_label_is_bad_input(cli: Cli, db: str) -> None:
    """It is told before a database is opened, without a traceback."""
    cli("jobs", "--label", "x" * 101).refused("--label", "1 to 100 characters")
    cli("jobs", "kill", "--label", "").refused("--label", "1 to 100 characters")
