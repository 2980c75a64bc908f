"""`limits`: listed with their lanes, changed, one lane shown; what is refused; what jobs tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, Limit
from job_processor.parts import ready_parts_of
from job_processor.redaction import REDACTED
from tests.cli.conftest import Cli
from tests.definitions import nothing


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in whose lanes jobs wait."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        limit = Limit(2, key="tenant")
        jobs = {"sync": JobDef(nothing, limit=limit), "post": JobDef(nothing, limit=1)}
        async with JobProcessor(jobs=jobs) as processor:
            for tenant, count in (("a", 1), ("b", 3)):
                await processor.schedule_jobs([("sync", {"tenant": tenant, "token": "x"})] * count)
            await processor.schedule_job("post")

    asyncio.run(fill())
    return db_url


def find(db: str, **selection: Any) -> Any:
    """Return the jobs of a selection."""

    async def found() -> Any:
        async with JobProcessor(db) as processor:
            return (await processor.find_jobs(**selection)).jobs

    return asyncio.run(found())


def test_limits_are_listed_with_their_fullest_lanes(cli: Cli, db: str) -> None:
    """Each with what runs, what waits and what is next, the fullest first."""
    lines = [line.split() for line in cli("limits").text.splitlines() if line.strip()]
    rows = {line[0]: line for line in lines}
    assert rows["b"][1:4] == ["0", "3", "0"]
    assert rows["b"][4:7] == ["next", "sync,", "due"]
    assert rows["a"][1:4] == ["0", "1", "0"]
    assert list(rows).index("b") < list(rows).index("a")
    found = cli("limits", "list", "--lanes", "1", "--json").json
    sync = next(each for each in found if each["name"] == "sync")
    assert (sync["amount"], sync["defined"], sync["more"]) == (None, None, True)
    (lane,) = sync["lanes"]
    assert (lane["lane"], lane["key"], lane["in_line"]) == ("sync:b", "b", 3)
    assert lane["next"]["name"] == "sync"


def test_a_limit_is_changed_and_changed_back(cli: Cli, db: str) -> None:
    """For all workers; what was done is said, and stands in the audit."""
    assert "'sync' is set to 7; workers see it" in cli("limits", "set", "sync", "7").text
    (found,) = cli("limits", "set", "sync", "8", "--json").json
    assert (found["name"], found["amount"]) == ("sync", 8)
    assert "the one in the code again" in cli("limits", "reset", "sync").text
    assert all(each["amount"] is None for each in cli("limits", "--json").json)

    async def audit() -> list[tuple[str, str]]:
        async with JobProcessor() as processor:
            return [(entry.action, entry.subject) for entry in await processor.get_audit()]

    assert ("limit", "sync: set to 8") in asyncio.run(audit())


def test_a_lane_is_shown_with_its_jobs(cli: Cli, db: str) -> None:
    """What it has, and the jobs that are next; secrets of their payloads are hidden."""
    text = cli("limits", "show", "sync:b").text
    assert "not known here" in text
    assert text.count("pending") == 3
    found = cli("limits", "show", "sync:b", "--limit", "2", "--json").json
    assert (found["in_line"], len(found["next_jobs"]), found["holding_jobs"]) == (3, 2, [])
    assert found["next_jobs"][0]["payload"] == {"tenant": "b", "token": REDACTED}
    assert "Nothing runs or waits in the lane 'sync:c'" in cli("limits", "show", "sync:c").text


def test_what_cannot_be_set_is_refused(cli: Cli, db: str) -> None:
    """In a sentence that names the argument, with what may have been meant."""
    cli("limits", "set", "snyc", "1").refused("did you mean 'sync'?", "--force")
    cli("limits", "set", "sync", "0").refused("AMOUNT", "whole number of at least 1")
    cli("limits", "set", "sync", "many").refused("AMOUNT", "whole number")
    cli("limits", "reset", "other").refused("no limit of 'other'")
    cli("limits", "--lanes", "-1").refused("--lanes")
    cli("limits", "show", "a", "--limit", "0").refused("--limit")
    assert "set to 3" in cli("limits", "set", "other", "3", "--force").text
    assert "other" in cli("limits").text


def test_nothing_is_limited(cli: Cli, db_url: str) -> None:
    """Where no limit is in use, the line to write is told."""
    asyncio.run(JobProcessor(db_url).setup())
    assert "write limit=3" in cli("limits", "--db", db_url).text


def test_jobs_are_chosen_by_their_lane(cli: Cli, db: str) -> None:
    """`--lane` selects, for lists and for actions; a job tells its lane and what it waits for."""
    (job,) = find(db, lane="sync:a")
    listed = cli("jobs", "--lane", "sync:a", "--json").json["jobs"]
    assert [each["_id"] for each in listed] == [str(job.id)]
    text = cli("jobs", "show", str(job.id)).text
    assert "lane" in text
    assert "sync:a" in text
    assert "3" in cli("jobs", "kill", "--lane", "sync:b", "--dry-run").text


def test_a_parked_job_tells_what_it_waits_for(cli: Cli, db: str) -> None:
    """In the list, and in detail with the command that shows its lane."""

    async def park() -> str:
        async with JobProcessor(db) as processor:
            (job,) = (await processor.find_jobs(lane="sync:a")).jobs
            parts = ready_parts_of(processor)
            assert await parts.store.lanes.park([job.id], "slot", parts.clock.now()) == 1
            return str(job.id)

    job_id = asyncio.run(park())
    assert "waits for a slot of sync:a" in cli("jobs", "--lane", "sync:a").text
    assert "limits show sync:a" in cli("jobs", "show", job_id).text
    (row,) = [line for line in cli("status").text.splitlines() if line.startswith("sync")]
    assert row.split()[1:3] == ["4", "1"]
