"""`worker` as a process in a pipe: how signals stop it, how it leaves, what it logs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from job_processor import Job, JobProcessor
from tests.cli import apps
from tests.cli.conftest import Start
from tests.cli.processes import ROOT, Process
from tests.mongo_server import free_port
from tests.processors import WAIT

APP = "tests.cli.apps:make"
Running = AbstractAsyncContextManager[tuple[Process, JobProcessor, Job]]


@asynccontextmanager
async def running(
    start: Start, db: str, name: str
) -> AsyncIterator[tuple[Process, JobProcessor, Job]]:
    """A worker that runs a job of this name, the job, and a processor to look at it."""
    async with apps.make(db=db) as processor:
        job = await processor.schedule_job(name)
        process = start("worker", APP, "--log-level", "debug", db=db)
        process.until(f"claimed job '{name}' ({job.id})")
        yield process, processor, job


async def stored(processor: JobProcessor, job: Job) -> Job:
    """The job as it stands."""
    found = await processor.get_job(job.id)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_the_first_signal_lets_jobs_end(
    start: Start, db_url: str, tmp_path: Path, number: Signals
) -> None:
    """After SIGTERM or SIGINT the running job ends, is stored, and the worker leaves with 0."""
    async with running(start, db_url, "until_released") as (process, processor, job):
        process.send(number)
        process.until(f"{number.name}: stopping; running jobs get 60 s to end")
        process.send(SIGTERM)
        process.until("SIGTERM: stopping already")
        (tmp_path / apps.RELEASE).touch()
        assert process.wait() == 0
        assert f"finished job 'until_released' ({job.id})" in process.output
        assert (await stored(processor, job)).status == "finished"
        assert not (await processor.get_healthcheck())["workers"]
    assert "\x1b" not in process.output  # a pipe gets plain lines
    assert "Traceback" not in process.output


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_task_of_a_handler_exits(
    start: Start, sqlite_db_url: str, tmp_path: Path, loop: str
) -> None:
    """`sys.exit()` in a sub-task fails its job alone: the worker continues, and leaves with 0."""
    async with apps.make(db=sqlite_db_url) as processor:
        innocent = await processor.schedule_job("until_released")
        failing = await processor.schedule_jobs(
            [
                ("exits_in_a_task", {"raises": raises, "by": by})
                for raises in ("exit", "interrupt")
                for by in ("gather", "wait_for", "group")
            ]
        )
        process = start("worker", APP, "--loop", loop, db=sqlite_db_url)
        for job in failing:
            assert (await processor.wait_for_job(job.id, WAIT)).status == "errored"
        assert (await stored(processor, innocent)).status == "running"
        (tmp_path / apps.RELEASE).touch()
        assert (await processor.wait_for_job(innocent.id, WAIT)).result() == "released"
        process.send(SIGTERM)
        assert process.wait() == 0
    assert "; the worker continues" in process.output


@pytest.mark.slow
async def test_the_second_sigint_forces(start: Start, sqlite_db_url: str) -> None:
    """A second SIGINT ends running jobs at once; the worker leaves with 1."""
    async with running(start, sqlite_db_url, "until_released") as (process, processor, job):
        process.send(SIGINT)
        process.until("SIGINT: stopping")
        process.send(SIGINT)
        process.until("SIGINT: forcing the running jobs to stop")
        assert process.wait() == 1
        found = await stored(processor, job)
        assert found.status == "errored"
        assert found.output is not None
        assert "Interrupted" in str(found.output.error)


@pytest.mark.slow
@pytest.mark.parametrize("after", ["forcing the running jobs", "the worker was forced to stop"])
async def test_the_third_sigint_leaves_at_once(
    start: Start, sqlite_db_url: str, after: str
) -> None:
    """A third SIGINT leaves a thread that will not stop to the death of the process.

    Also while the process waits for the end of that thread, when its work has ended.
    """
    async with running(start, sqlite_db_url, "until_released_in_a_thread") as (process, *_):
        process.send(SIGINT)
        process.until("SIGINT: stopping")
        process.send(SIGINT)
        process.until(after)
        process.send(SIGINT)
        process.until("SIGINT: leaving at once")
        assert process.wait() == 1


def test_a_worker_whose_task_dies(start: Start, sqlite_db_url: str) -> None:
    """When a task of the worker dies of a bug, the worker says so and leaves with 1."""
    process = start("worker", "tests.cli.apps:make_dying", db=sqlite_db_url)
    assert process.wait() == 1
    assert "CRITICAL the worker stopped: RuntimeError: a bug" in process.output


async def test_burst(start: Start, sqlite_db_url: str) -> None:
    """--burst runs what is due, whatever its end, and leaves with 0; a line tells each end."""
    async with apps.make(db=sqlite_db_url) as processor:
        greet = await processor.schedule_job("greet", {"name": "Ada"})
        fail = await processor.schedule_job("fail")
        process = start("worker", APP, "--burst", "--concurrency", "1", db=sqlite_db_url)
        assert process.wait() == 0
        statuses = [(await stored(processor, job)).status.value for job in (greet, fail)]
    assert statuses == ["finished", "errored"]
    assert f"INFO     finished job 'greet' ({greet.id}) after " in process.output
    assert "ERROR    fail failed (ValueError:  [31mno; luck) after " in process.output
    assert re.search(rf"apps\.py:\d+ in fail \({fail.id}\)", process.output)
    assert "\x1b" not in process.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop for Windows")
@pytest.mark.parametrize(
    ("choice", "expected"), [([], "uvloop"), (["uvloop"], "uvloop"), (["asyncio"], "asyncio")]
)
async def test_the_event_loop(
    start: Start, sqlite_db_url: str, choice: list[str], expected: str
) -> None:
    """--loop says which one runs the jobs; without it, uvloop does where it is installed."""
    async with apps.make_telling_its_loop(db=sqlite_db_url) as processor:
        job = await processor.schedule_job("tell")
        options = [f"--loop={name}" for name in choice]
        app = "tests.cli.apps:make_telling_its_loop"
        process = start("worker", app, "--burst", *options, db=sqlite_db_url)
        assert process.wait() == 0
        output = (await stored(processor, job)).output
    assert output is not None
    assert output.result == expected


@pytest.mark.slow
def test_an_event_loop_that_is_not_installed(sqlite_db_url: str) -> None:
    """Asked for by name it is refused, with what to install; else asyncio's own is taken."""
    hidden = "import sys; sys.modules['uvloop'] = None; from job_processor.cli import main; main()"
    command = [sys.executable, "-c", hidden, "worker", APP, "--burst"]
    environment = {**os.environ, "JOB_PROCESSOR_DB": sqlite_db_url, "PYTHONPATH": str(ROOT)}
    for loop, code, words in (
        ("uvloop", 1, "--loop uvloop needs more packages: pip install 'job-processor[uvloop]'"),
        ("auto", 0, "working on "),
    ):
        done = subprocess.run(
            [*command, f"--loop={loop}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert words in done.stderr


async def test_tags(start: Start, sqlite_db_url: str) -> None:
    """--tags leaves jobs with other tags to other workers, and warns of a tag nobody has."""
    async with apps.make(db=sqlite_db_url) as processor:
        fail = await processor.schedule_job("fail")
        process = start("worker", APP, "--burst", "--tags", "other, more", db=sqlite_db_url)
        assert process.wait() == 0
        assert (await stored(processor, fail)).status == "pending"
    assert "worker tag 'other': no job and no cron has this tag" in process.output


def test_a_database_that_is_away(start: Start) -> None:
    """A worker goes on trying, says which address does not answer, and stops when it is told to."""
    host = f"127.0.0.1:{free_port()}"
    process = start("worker", APP, db=f"mongodb://{host}/app?serverSelectionTimeoutMS=100")
    for _ in range(2):
        process.until(f"mongodb://{host}/app does not answer")
        process.until("trying again in ")
    assert process.alive
    process.send(SIGTERM)
    assert process.wait() == 0
    assert "SIGTERM: stopping\n" in process.output
    assert "Traceback" not in process.output
