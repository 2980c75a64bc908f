"""A stop ends in its time, whatever hangs: real worker processes, real signals, both stores."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.acceptance import hanging
from tests.acceptance.workers import ROOT
from tests.processors import WAIT, eventually
from tests.proxy import Proxy

GRACEFUL = hanging.SHUTDOWN_GRACE + 2 * hanging.KILL_GRACE + 5
"""Seconds that a stop takes at the most."""

WITH_A_DATABASE = GRACEFUL + 10
"""Those that it takes where the database hangs."""

MACHINE = 15.0
"""Seconds that a busy machine may add, for what begins and ends beside the stop."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers of the application that hangs; they are killed at the end."""
    processes: list[subprocess.Popen[str]] = []
    logs = ExitStack()

    def started(db: str, *options: str) -> subprocess.Popen[str]:
        log = logs.enter_context((tmp_path / f"worker-{len(processes)}.log").open("w"))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "job_processor", "worker"),
                *("tests.acceptance.hanging:make", *options),
            ],
            cwd=ROOT,
            env={**os.environ, "JOB_PROCESSOR_DB": db, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, SIGKILL)
            process.wait()
    logs.close()


def logged(tmp_path: Path) -> str:
    """What the workers wrote."""
    return "".join(log.read_text() for log in sorted(tmp_path.glob("worker-*.log")))


async def until_logged(tmp_path: Path, text: str, count: int = 1) -> None:
    """Return once the workers have written something so many times."""

    async def is_there() -> bool:
        return logged(tmp_path).count(text) >= count

    await eventually(is_there, f"{count} times {text!r} in the log")


async def seconds_to_end(process: subprocess.Popen[str], signal_number: int) -> tuple[float, int]:
    """Send a signal; return how long the process took to end, and its exit status."""
    began = time.monotonic()
    process.send_signal(signal_number)
    code = await asyncio.to_thread(process.wait, WAIT)
    return time.monotonic() - began, code


@pytest.mark.parametrize("name", [name for name in hanging.HANDLERS if name != "lock"])
async def test_a_stop_ends_whatever_hangs(
    start: Start, db_url: str, tmp_path: Path, name: str
) -> None:
    """SIGTERM: within `shutdown_grace + 2 * kill_grace` and 5 s; what was left is logged."""
    async with hanging.make(db=db_url) as processor:
        worker = start(db_url)
        job = await processor.schedule_job(name)
        await until_logged(tmp_path, hanging.BEGUN)
        took, code = await seconds_to_end(worker, SIGTERM)
        assert took < GRACEFUL + MACHINE, logged(tmp_path)
        assert code in {0, 1}, logged(tmp_path)
        if name != "loop":
            assert (await processor.get_healthcheck())["workers"] == [], logged(tmp_path)
            found = await processor.get_job(job.id)
            assert found is not None
            assert found.settled


async def test_a_second_sigint_forces(start: Start, db_url: str, tmp_path: Path) -> None:
    """Within `kill_grace` and 5 s, with status 1."""
    async with hanging.make(db=db_url) as processor:
        worker = start(db_url)
        await processor.schedule_job("stubborn")
        await until_logged(tmp_path, hanging.BEGUN)
        worker.send_signal(SIGINT)
        await until_logged(tmp_path, "SIGINT: stopping")
        took, code = await seconds_to_end(worker, SIGINT)
        assert took < hanging.KILL_GRACE + 5 + MACHINE, logged(tmp_path)
        assert code == 1, logged(tmp_path)


@pytest.mark.mongo
@pytest.mark.parametrize("on", ["", "findAndModify", '"update"'])
async def test_a_stop_ends_while_the_database_hangs(
    start: Start, mongo_db_url: str, tmp_path: Path, on: str
) -> None:
    """No reply comes any more, to anything, to claims, to writes: one write more of time."""
    async with AsyncExitStack() as stack:
        server, _, name = mongo_db_url.rpartition("/")
        proxy = await stack.enter_async_context(Proxy(server))
        processor = await stack.enter_async_context(hanging.make(db=mongo_db_url))
        worker = start(proxy.url(name.partition("?")[0]))
        await processor.schedule_job("stubborn")
        await until_logged(tmp_path, hanging.BEGUN)
        proxy.hang(on)
        await processor.schedule_job("hook")
        await asyncio.sleep(1)  # it looks for that, in vain
        took, _ = await seconds_to_end(worker, SIGTERM)
        assert took < WITH_A_DATABASE + MACHINE, logged(tmp_path)


async def test_a_process_that_hears_of_no_signal_is_killed(
    start: Start, sqlite_db_url: str, tmp_path: Path
) -> None:
    """Under a supervisor, where a handler holds Python's lock: the others end as usual."""
    async with hanging.make(db=sqlite_db_url) as processor:
        supervisor = start(sqlite_db_url, "--processes", "2")

        async def both() -> bool:
            return len((await processor.get_registrations()).workers) == 2

        await eventually(both)
        await until_logged(tmp_path, " works (pid ", 2)
        await processor.schedule_job("lock")
        await until_logged(tmp_path, hanging.BEGUN)
        took, code = await seconds_to_end(supervisor, SIGTERM)
        assert took < WITH_A_DATABASE + 5 + MACHINE, logged(tmp_path)
        assert code == 1
        assert "did not stop in its time: it was killed" in logged(tmp_path)


EMBEDDED = """
import asyncio, sys
from job_processor import JobProcessor
processor = JobProcessor(sys.argv[1], shutdown_grace=20, kill_grace=5)
began = asyncio.Event()

@processor.job(resumable=True)
async def long():
    began.set()
    await asyncio.sleep(3600)

async def main():
    {body}

try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""

ENDS = {
    "asyncio.run is over": """
    await processor.setup()
    worker = asyncio.create_task(processor.run_worker())
    await began.wait()""",
    "main fails": """
    await processor.setup()
    worker = asyncio.create_task(processor.run_worker())
    await began.wait()
    raise KeyboardInterrupt""",
    "async with is left": """
    async with processor:
        worker = asyncio.create_task(processor.run_worker())
        await began.wait()""",
    "the task is cancelled": """
    async with processor:
        worker = asyncio.create_task(processor.run_worker())
        await began.wait()
        worker.cancel()
        await asyncio.wait([worker])""",
    "Ctrl-C": """
    async with processor:
        worker = asyncio.create_task(processor.run_worker())
        await began.wait()
        import os, signal
        os.kill(os.getpid(), signal.SIGINT)
        await worker""",
}


@pytest.mark.parametrize("how", ENDS)
async def test_an_embedded_worker_whose_program_ends(db_url: str, how: str) -> None:
    """However it ends, twice in a row: the job waits, no crash counts, nothing is left."""
    program = EMBEDDED.format(body=ENDS[how].strip())
    async with hanging.make(db=db_url) as processor:
        processor.job("long", resumable=True)(lambda: None)
        job = await processor.schedule_job("long")
        for _ in range(2):
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", program, db_url],
                capture_output=True,
                text=True,
                timeout=WAIT,
                cwd=ROOT,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert "Traceback" not in ended.stderr
            assert "never retrieved" not in ended.stderr
            found = await processor.get_job(job.id)
            assert found is not None
            assert (found.status, found.crashes, found.worker_id) == ("paused", 0, None)
            assert (await processor.get_healthcheck())["workers"] == []
