"""`worker --processes`: real processes, kept, stopped, forced, and ended with their supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest

from job_processor import JobProcessor, JobStatus
from job_processor.cli.supervise import supervisor
from job_processor.cli.supervise.supervisor import Supervisor
from tests.cli import apps
from tests.cli.conftest import Cli, Start
from tests.cli.processes import ROOT, Process
from tests.mongo_server import free_port
from tests.processors import WAIT, eventually

APP = "tests.cli.apps:make"


@pytest.fixture(autouse=True)
def _released(tmp_path: Path, start: Start) -> Iterator[None]:
    """At the end nothing waits any more, whatever became of the supervisor."""
    yield
    (tmp_path / apps.RELEASE).touch()


def pid_of(process: Process, number: int, *, again: int = 0) -> int:
    """Wait until this process works, started `again` so many times; return its id."""
    process.until(f"process {number} works (pid ")
    process.until(")")
    found = re.findall(rf"process {number} works \(pid (\d+)\)", process.output)
    return int(found[again])


def is_alive(pid: int) -> bool:
    """Tell whether a process is there, other than as a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def scraped(port: int) -> str:
    """Return the metrics on a port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())


@pytest.mark.slow
async def test_a_crashed_one_is_started_again(
    start: Start, sqlite_db_url: str, tmp_path: Path
) -> None:
    """It is told how it died; SIGTERM lets the jobs of all end, and the exit code is 0."""
    async with apps.make(db=sqlite_db_url, concurrency=1) as processor:
        process = start("worker", APP, "--processes", "2", "--concurrency", "1", db=sqlite_db_url)
        second = pid_of(process, 2)
        os.kill(second, SIGKILL)
        process.until("process 2 was ended by SIGKILL; it is started again in 0.")
        assert pid_of(process, 2, again=1) != second
        jobs = await processor.schedule_jobs([("until_released",), ("until_released",)])
        await eventually(lambda: _run(processor, jobs))
        process.send(SIGTERM)
        process.until("SIGTERM: stopping 2 processes")
        for _ in range(2):
            process.until("SIGTERM: stopping; running jobs get 60 s")
        (tmp_path / apps.RELEASE).touch()
        assert process.wait() == 0, process.output
        ended = [await processor.get_job(job.id) for job in jobs]
        assert [job and job.status for job in ended] == [JobStatus.FINISHED] * 2
        left = (await processor.get_healthcheck())["workers"]
        assert {each["worker"]["pid"] for each in left} <= {second}  # unless it is rescued by then
    assert "Traceback" not in process.output


async def _run(processor: JobProcessor, jobs: list[Any]) -> bool:
    """Tell whether both run, each in another worker."""
    found = [await processor.get_job(job.id) for job in jobs]
    return len({job.worker_id for job in found if job and job.status == "running"}) == 2


@pytest.mark.slow
async def test_a_second_sigint_forces_and_each_has_its_metrics(
    start: Start, sqlite_db_url: str
) -> None:
    """Ports count upwards from the one that is given; what is forced ends with 1."""
    port = free_port(2)
    async with apps.make(db=sqlite_db_url) as processor:
        await processor.schedule_job("until_released")
        process = start(
            *("worker", APP, "--processes", "2", "--metrics-port", str(port)),
            *("--log-level", "debug"),
            db=sqlite_db_url,
        )
        process.until("claimed job 'until_released'")
        if "process 2 works" not in process.output:
            process.until("process 2 works")
        for each in (port, port + 1):
            assert "job_processor_slots 10.0" in await asyncio.to_thread(scraped, each)
        process.send(SIGINT)
        for _ in range(2):  # the other one, too: two signals that come at once are one
            process.until("SIGINT: stopping; running jobs get 60 s")
        process.send(SIGINT)
        process.until("SIGINT: forcing the running jobs to stop")
        assert process.wait() == 1, process.output


@pytest.mark.slow
async def test_processes_end_with_their_supervisor(
    start: Start, sqlite_db_url: str, tmp_path: Path
) -> None:
    """After a SIGKILL of the supervisor each stops as by SIGTERM: its jobs end and are stored."""
    async with apps.make(db=sqlite_db_url) as processor:
        process = start("worker", APP, "--processes", "2", db=sqlite_db_url)
        pids = [pid_of(process, 1), pid_of(process, 2)]
        job = await processor.schedule_job("until_released")
        await eventually(lambda: _is_running(processor, job))
        process.send(SIGKILL)
        process.until("the supervisor is gone")
        (tmp_path / apps.RELEASE).touch()
        ended = await processor.wait_for_job(job.id, timeout=WAIT)
        assert ended.status is JobStatus.FINISHED
        await eventually(lambda: _none_lives(pids))


async def _is_running(processor: JobProcessor, job: Any) -> bool:
    found = await processor.get_job(job.id)
    return found is not None and found.status == "running"


async def _none_lives(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


def test_bad_input_is_told_once(start: Start, sqlite_db_url: str) -> None:
    """What the first process cannot load is not tried by the others; the exit code is 2."""
    process = start("worker", "tests.cli.apps:missing", "--processes", "3", db=sqlite_db_url)
    assert process.wait() == 2
    assert process.output.count("Error: APP: ") == 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--processes", "0"], ["--processes: 0", "at least 1"]),
        (["--processes", "x"], ["--processes: 'x'", "a whole number"]),
        (["--processes", "2", "--reload"], ["--processes: 2", "one process"]),
        (
            ["--processes", "2", "--metrics-port", "65535"],
            ["--metrics-port: '65535'", "1 to 65534", "2 processes use as many ports"],
        ),
    ],
)
def test_options_that_are_not_allowed(cli: Cli, arguments: list[str], parts: list[str]) -> None:
    """They are refused before anything starts."""
    cli("worker", APP, *arguments).refused(*parts)


@pytest.mark.slow
async def test_it_gives_up_when_all_crash_at_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that never works is tried some times, then the supervisor says so and ends."""
    (tmp_path / "dying.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(supervisor, "CRASHES_AT_START", 2)
    monkeypatch.setattr(supervisor, "_PAUSE_MIN", 0.01)
    keeper = Supervisor([["dying:processor"]] * 2, logging.getLogger("job_processor"))
    async with asyncio.timeout(WAIT):
        assert await keeper.run() == 1
    assert "process 1 left with exit code 7; it is started again" in caplog.text
    assert "giving up: each process crashes at its start, 2 times in a row" in caplog.text
