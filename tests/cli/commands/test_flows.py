"""`job-processor flows`: one in levels, killed, and retried."""

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
    """Store a flow of three levels, in which one job fails; return its id."""

    async def fill() -> str:
        jobs = {"extract": JobDef(nothing), "load": JobDef(odd), "report": JobDef(nothing)}
        async with JobProcessor(db, jobs=jobs) as processor:
            flow = processor.flow("import")
            first = flow.add("extract")
            parts = flow.add_many("load", [{"n": n} for n in (1, 2, 3)], after=first)
            flow.add("report", after=parts)
            await flow.start()
            if run:
                await processor.run_worker(burst=True)
            return str(flow.id)

    return asyncio.run(fill())


async def emptied(db: str) -> None:
    """Make a database without a flow."""
    async with JobProcessor(db):
        pass


def test_one_is_shown(cli: Cli, db: str) -> None:
    """Each level with its jobs, those of one name in one row; and its jobs are listed."""
    flow = filled(db, run=True)
    shown = cli("flows", "show", flow).text
    assert all(part in shown for part in ("import", "errored", "extract", "3/3", "report"))
    assert shown.index("extract") < shown.index("load") < shown.index("report")
    one = cli("flows", "show", flow, "--json").json
    assert [[box["name"] for box in level] for level in one["levels"]] == [
        ["extract"],
        ["load"],
        ["report"],
    ]
    assert one["counts"]["by_status"] == {"finished": 3, "errored": 1, "skipped": 1}
    listed = cli("jobs", "--flow", flow, "--json").json["jobs"]
    assert len(listed) == 5
    failed = next(job["_id"] for job in listed if job["status"] == "errored")
    assert f"parent {failed} errored" in cli("jobs", "--flow", flow, "--status", "skipped").text
    assert f"flows show {flow}" in cli("jobs", "show", listed[0]["_id"]).text


def test_they_are_listed(cli: Cli, db: str) -> None:
    """The newest first, with how many of their jobs have ended; a page that is full says so."""
    asyncio.run(emptied(db))
    assert "There are no flows in" in cli("flows").text
    ended, waits = filled(db, run=True), filled(db, run=False)
    lines = [line.split() for line in cli("flows").text.splitlines()[2:]]
    assert lines[0][:6] == [waits, "import", "running", "0/5", "0", "0"]
    assert lines[1][:6] == [ended, "import", "errored", "5/5", "0", "2"]
    assert f"--after {waits}" in cli("flows", "list", "--limit", "1").text
    (older,) = cli("flows", "list", "--after", waits, "--json").json
    assert (older["_id"], older["status"]) == (ended, "errored")
    assert cli("flows", "--limit", "1", "show", ended).code == 2
    assert cli("flows", "--after", "7").code == 2


def test_one_is_killed_and_sent_round_again(cli: Cli, db: str) -> None:
    """What was done is said, with how the flow stands then."""
    flow = filled(db, run=False)
    killed = cli("flows", "kill", flow).text
    assert killed == f"Flow {flow}: 5 jobs killed, or asked to stop; it is errored now.\n"
    assert cli("flows", "retry", flow, "--json").json["flow"]["status"] == "running"


def test_an_unknown_one(cli: Cli, db: str) -> None:
    """It is said so, without a traceback."""
    filled(db, run=False)
    unknown = str(ObjectId())
    for command in ("show", "kill", "retry"):
        failed = cli("flows", command, unknown)
        assert failed.code == 1
        assert f"there is no flow {unknown}" in failed.err
        wrong = cli("flows", command, "7")
        assert wrong.code == 2
