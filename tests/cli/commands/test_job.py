"""`jobs show`, `watch` and `retry`; `pause` and `resume`; `crons show` and `run`."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from job_processor import Context, CronDef, JobDef, JobProcessor, Retry
from tests.cli.conftest import Cli, Start
from tests.definitions import nothing
from tests.insides import engine_of

UNKNOWN = "0123456789abcdef01234567"
HOSTILE = "red \x1b[31m alert"


async def tell(context: Context) -> Any:
    """Tell of itself."""
    context.progress(0.5, f"half {HOSTILE}")
    context.log(f"line {HOSTILE}")
    return {"done": [1, 2]}


async def fail() -> None:
    """Fail."""
    raise ValueError(f"no {HOSTILE}")


async def leak(payload: dict[str, Any], context: Context) -> None:
    """Tell what should not be told."""
    context.progress(0.5, payload["password"])
    context.log(f"with {payload['password']}")
    raise ValueError(f"refused {payload['password']}")


def make() -> JobProcessor:
    """Return a processor on the database of the environment."""
    return JobProcessor(
        jobs={
            "leak": JobDef(leak),
            "tell": JobDef(tell),
            "fail": JobDef(fail, retry=Retry(2, delay=0), tag="t"),
        },
        crons={"nightly": CronDef("0 2 * * *", nothing, timezone="Europe/Paris")},
    )


async def fill() -> tuple[str, str]:
    """Run two jobs; return their ids."""
    async with make() as processor:
        told = await processor.schedule_job("tell", {"a": HOSTILE}, priority=3)
        failed = await processor.schedule_job("fail")
        await processor.run_worker(burst=True)
    return str(told.id), str(failed.id)


@pytest.fixture
def ids(db_url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The ids of a job that finished and of one that failed twice."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return asyncio.run(fill())


def test_a_job_in_detail(cli: Cli, ids: tuple[str, str]) -> None:
    """For people, with nothing in it that steers the terminal, and as JSON."""
    told, failed = ids
    text = cli("jobs", "show", told).text
    for part in (told, "finished", "50%", "half red", "line red", '"done"', "priority", "Log"):
        assert part in text
    assert "\x1b[31m" not in text
    shown = cli("jobs", "show", told, "--json").json
    assert (shown["_id"], shown["progress"]["fraction"]) == (told, 0.5)
    assert [line["text"] for line in shown["log"]] == [f"line {HOSTILE}"]
    text = cli("jobs", "show", failed).text
    assert "attempt 1" in text
    assert text.count("ValueError: no red") == 2  # the attempt before, and the end
    assert text.count("in fail\n    raise ValueError") == 2  # of each its traceback
    failed_json = cli("jobs", "show", failed, "--json").json
    assert "in fail\n    raise ValueError" in failed_json["attempts"][0]["error"]


def test_what_a_payload_hides(cli: Cli, ids: tuple[str, str]) -> None:
    """Is hidden in all that a job shows, for people and as JSON, unless it is asked for."""

    async def run() -> str:
        async with make() as processor:
            job = await processor.run_job("leak", {"password": "hunter2", "n": 1})
            return str(job.id)

    id = asyncio.run(run())
    for arguments in (["jobs", "show", id], ["jobs", "show", id, "--json"], ["jobs", "watch", id]):
        told = cli(*arguments).out
        assert "hunter2" not in told
        assert "[redacted]" in told
    assert cli("jobs", "show", id, "--reveal").out.count("hunter2") == 4


def test_a_job_is_watched_when_it_has_ended(cli: Cli, ids: tuple[str, str]) -> None:
    """The exit code tells whether it finished."""
    told, failed = ids
    done = cli("jobs", "watch", told)
    assert done.code == 0
    assert "half red" in done.text
    assert f"job 'tell' ({told}) finished" in done.text
    ended = cli("jobs", "watch", failed)
    assert ended.code == 1
    assert "ValueError: no red" in ended.out
    assert json.loads(cli("jobs", "watch", failed, "--json").out)["status"] == "errored"
    for command in ("show", "watch", "retry", "kill"):
        cli("jobs", command, UNKNOWN).refused(UNKNOWN)
        cli("jobs", command, "7").refused("ID: '7'")


def test_a_running_job_is_watched(start: Start, db_url: str) -> None:
    """Its progress and log are printed as they come, each once, until it has ended."""

    async def steps(context: Context) -> None:
        for n in range(1, 4):
            context.log(f"step {n}")
            context.progress(n / 4, f"step {n}")
            await asyncio.sleep(1.2)  # each is written in a second of its own

    async def run() -> str:
        processor = JobProcessor(db_url, jobs={"steps": JobDef(steps)})
        async with processor:
            job = await processor.schedule_job("steps")
            watching = start("jobs", "watch", str(job.id), db=db_url)
            await asyncio.to_thread(watching.until, "pending")
            await processor.run_worker(burst=True)
            assert await asyncio.to_thread(watching.wait) == 0
            return watching.output

    lines = asyncio.run(run()).splitlines()
    logged = [line[9:] for line in lines if line[2:3] == line[5:6] == ":"]
    assert logged == ["step 1", "step 2", "step 3"]
    told = [line for line in lines if "%" in line]
    assert {"running 25% step 1", "running 50% step 2"} <= set(told)
    assert told[-1] == "finished 75% step 3"
    assert re.search(r" finished in 3\.[67]? s$", lines[-1])


def test_a_job_is_sent_round_again(cli: Cli, ids: tuple[str, str]) -> None:
    """Once it has ended; one that waits is not."""
    assert "waits to be run again" in cli("jobs", "retry", ids[0]).text
    cli("jobs", "retry", ids[0]).refused("is pending", code=1)
    assert cli("jobs", "retry", ids[1], "--json").json["status"] == "pending"


def test_a_pause_and_its_end(cli: Cli, ids: tuple[str, str]) -> None:
    """Of a name and of a tag; the status tells."""
    assert "Paused 'tell'" in cli("pause", "tell").text
    assert cli("pause", "--tag", "t", "--json").json == {"names": ["tell"], "tags": ["t"]}
    assert "Paused: tell, tag t" in cli("status").text
    assert "Paused are: tag t" in cli("resume", "tell").text
    assert cli("resume", "--tag", "t", "--json").json == {"names": [], "tags": []}
    assert "Paused" not in cli("status").text
    for arguments in ((), ("tell", "--tag", "t")):
        assert "NAME or --tag TAG" in cli("pause", *arguments).err


def test_a_cron_in_detail(cli: Cli, ids: tuple[str, str]) -> None:
    """Its next five times; it is run now, paused and resumed."""
    text = cli("crons", "show", "nightly").text
    assert "0 2 * * *  in Europe/Paris" in text
    assert text.count(" UTC, in ") == 5
    shown = cli("crons", "show", "nightly", "--json").json
    assert (len(shown["upcoming"]), shown["paused"]) == (5, False)
    cli("crons", "pause", "nightly")
    cli("crons", "pause", "nihgtly").refused("NAME: 'nihgtly'", "'nightly'")
    assert cli("crons", "show", "nightly", "--json").json["paused"] is True
    cli("crons", "resume", "nightly")
    task = cli("crons", "run", "nightly", "--json").json
    assert (task["type"], task["status"]) == ("cron_task", "pending")
    assert "is in the queue, due now" in cli("crons", "run", "nightly").text
    for command in ("show", "run"):
        cli("crons", command, "weekly").refused("NAME: 'weekly'", "'nightly'")


def test_a_cron_is_removed(cli: Cli, ids: tuple[str, str]) -> None:
    """At once, with or without `--yes` where nobody can be asked; an unknown one is refused."""
    cli("crons", "remove", "weekly").refused("NAME: 'weekly'", "'nightly'")
    text = cli("crons", "remove", "nightly", "--yes").text
    assert "Cron 'nightly' is removed" in text
    assert cli("crons", "--json").json == []
    asyncio.run(fill())
    assert cli("crons", "remove", "nightly", "--json").json == {"removed": "nightly"}


def test_a_cron_that_a_worker_lists_is_not_removed(cli: Cli, ids: tuple[str, str]) -> None:
    """The command says whose worker it is and what to do, and ends with 1."""

    async def listed() -> None:
        async with make() as processor:
            engine = engine_of(processor)
            await engine.start()
            try:
                removing = asyncio.to_thread(cli, "crons", "remove", "nightly")
                (await removing).refused("'nightly'", "service 'default'", "pause", code=1)
            finally:
                await engine.stop()

    asyncio.run(listed())


def test_lists_with_and_without_their_name(cli: Cli, ids: tuple[str, str]) -> None:
    """`jobs list` is `jobs`, `crons list` is `crons`."""
    options = ("--name", "tell", "--json")
    assert cli("jobs", "list", *options).json == cli("jobs", *options).json
    assert cli("crons", "list", "--json").json == cli("crons", "--json").json
