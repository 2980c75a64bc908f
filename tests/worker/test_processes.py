"""Handlers in processes of their own: they can be stopped, and take nothing down with them."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from job_processor import (
    CronDef,
    DefinitionError,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    ProcessDiedError,
    Retry,
)
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker import process_handlers as handlers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def in_process(handler: Any, **options: Any) -> JobDef:
    """Return a job whose handler runs in a process."""
    return JobDef(handler, executor="process", **options)


async def settled(processor: JobProcessor, name: str, payload: Any = None) -> Job:
    """Run a job of this name to its end, and return it."""
    job = await processor.schedule_job(name, payload)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


async def pids(path: Path) -> list[int]:
    """Return the process ids that a handler wrote, once it has."""

    async def written() -> str:
        return path.read_text() if path.exists() else ""

    return [int(pid) for pid in (await eventually(written)).split()]


def lives(pid: int) -> bool:
    """True while there is such a process, zombies aside."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def is_gone(pid: int) -> bool:
    """True when there is no such process any more."""
    return not lives(pid)


async def test_a_handler_runs_in_a_process(processors: Processors) -> None:
    """Plain or async; its result comes back, what cannot be stored is described."""
    jobs = {
        "add": in_process(handlers.add),
        "later": in_process(handlers.add_later),
        "odd": in_process(handlers.unstorable),
    }
    processor = await processors.make(jobs=jobs)
    for name in ("add", "later"):
        result = (await settled(processor, name, {"a": 1, "b": 2})).result()
        assert result["sum"] == 3
        assert result["pid"] != os.getpid()
    assert "object" in (await settled(processor, "odd")).result()
    assert (await processor.run_job("add", {"a": 1, "b": 1})).result()["sum"] == 2


async def test_its_environment_is_that_of_the_worker(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is when the run begins, whatever it was when the first one did."""
    processor = await processors.make(jobs={"variable": in_process(handlers.variable)})
    for value in ("one", "two"):
        monkeypatch.setenv("JOB_PROCESSOR_OF_A_TEST", value)
        job = await settled(processor, "variable", {"name": "JOB_PROCESSOR_OF_A_TEST"})
        assert job.result() == value
    monkeypatch.delenv("JOB_PROCESSOR_OF_A_TEST")
    job = await settled(processor, "variable", {"name": "JOB_PROCESSOR_OF_A_TEST"})
    assert job.result() is None


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (handlers.fail, ["ValueError: not this way", "process_handlers.py", "in fail"]),
        (handlers.fail_oddly, ["OddError: odd 7: of the process", "in fail_oddly"]),
        (handlers.leave, ["SystemExit: 3", "in leave"]),
    ],
)
async def test_an_error_comes_back(processors: Processors, handler: Any, told: list[str]) -> None:
    """With the traceback of the process, whether it can be pickled or not."""
    processor = await processors.make(jobs={"a": in_process(handler)})
    job = await settled(processor, "a")
    assert job.status is JobStatus.ERRORED
    assert job.output is not None
    for part in told:
        assert part in str(job.output.error)


async def test_what_it_raises_counts(processors: Processors) -> None:
    """For retries: the class of the error, and RetryLater."""
    jobs = {
        "given_up": in_process(handlers.fail, retry=Retry(3, delay=0, give_up_on=(ValueError,))),
        "again": in_process(handlers.later, retry=Retry(2, delay=0)),
    }
    processor = await processors.make(jobs=jobs)
    assert (await settled(processor, "given_up")).attempt == 1
    again = await settled(processor, "again")
    assert (again.attempt, again.output and again.output.error) == (2, "not yet")


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (handlers.segfault, "SIGSEGV"),
        (handlers.kill_itself, "SIGKILL, as the kernel does when memory runs out"),
        (handlers.exit_hard, "left with exit code 7"),
    ],
)
async def test_a_process_that_dies(processors: Processors, handler: Any, told: str) -> None:
    """Errors its own job only: others go on, and so does the worker."""
    jobs = {"dies": in_process(handler), "add": in_process(handlers.add)}
    processor = await processors.make(jobs=jobs)
    made = await processor.schedule_jobs(
        [("add", {"a": 1, "b": 1}), ("dies", {"code": 7}), ("add", {"a": 2, "b": 2})]
    )
    await processor.run_worker(burst=True)
    first, dead, second = [await processor.wait_for_job(job.id) for job in made]
    assert (first.result()["sum"], second.result()["sum"]) == (2, 4)
    assert dead.status is JobStatus.ERRORED
    assert dead.output is not None
    assert told in str(dead.output.error)


async def test_a_dead_process_is_tried_again(processors: Processors) -> None:
    """As any error is; it can be told apart."""
    retry = Retry(2, delay=0, retry_on=(ProcessDiedError,))
    processor = await processors.make(jobs={"dies": in_process(handlers.exit_hard, retry=retry)})
    job = await settled(processor, "dies", {"code": 0})
    assert (job.status, job.attempt) == (JobStatus.ERRORED, 2)


@pytest.mark.parametrize("handler", [handlers.polite, handlers.polite_async])
async def test_it_is_asked_to_stop(processors: Processors, handler: Any) -> None:
    """The signal reaches it, with its reason."""
    jobs = {"polite": in_process(handler, resumable=True)}
    processor, worker = await processors.start(jobs=jobs, kill_grace=10)
    job = await processor.schedule_job("polite")

    async def has_begun() -> bool:
        seen = await processor.get_job(job.id)
        return seen is not None and seen.progress is not None

    await eventually(has_begun)
    await worker.stop()
    assert (await processor.wait_for_job(job.id)).result() == "stopped: shutdown"


@pytest.mark.parametrize("handler", [handlers.spin, handlers.hold_on])
async def test_a_kill_really_ends_it(processors: Processors, tmp_path: Path, handler: Any) -> None:
    """Also when it hears nothing: after SIGTERM comes SIGKILL."""
    processor, _ = await processors.start(jobs={"spin": in_process(handler)})
    job = await processor.schedule_job("spin", {"file": str(tmp_path / "pid")})
    (pid,) = await pids(tmp_path / "pid")
    await processor.kill_job(job.id)
    assert (await processor.wait_for_job(job.id, timeout=WAIT)).status is JobStatus.KILLED
    assert not lives(pid)


@pytest.mark.slow
async def test_a_max_runtime_really_ends_it(processors: Processors, tmp_path: Path) -> None:
    """And the slot is free for the next; five seconds let a process begin on any machine."""
    jobs = {"spin": in_process(handlers.spin, max_runtime_in_minutes=1 / 12)}
    processor, _ = await processors.start(jobs=jobs, concurrency=1)
    for n in range(2):
        path = tmp_path / f"pid{n}"
        job = await processor.schedule_job("spin", {"file": str(path)})
        (pid,) = await pids(path)
        done = await processor.wait_for_job(job.id, timeout=WAIT)
        assert done.output is not None
        assert "max runtime" in str(done.output.error)
        assert not lives(pid)


async def test_a_shutdown_pauses_it(processors: Processors, tmp_path: Path) -> None:
    """A resumable one that does not stop by itself is ended, and taken up again."""
    jobs = {"spin": in_process(handlers.spin, resumable=True)}
    processor, worker = await processors.start(jobs=jobs)
    job = await processor.schedule_job("spin", {"file": str(tmp_path / "pid")})
    (pid,) = await pids(tmp_path / "pid")
    await worker.stop()
    paused = await processor.get_job(job.id)
    assert paused is not None
    assert paused.status is JobStatus.PAUSED
    assert not lives(pid)


async def test_a_context_in_a_process(processors: Processors) -> None:
    """It tells and saves, and the next attempt gets what was saved."""
    jobs = {
        "tell": in_process(handlers.tell, retry=Retry(2, delay=0)),
        "async": in_process(handlers.tell_async),
    }
    processor = await processors.make(jobs=jobs)
    job = await settled(processor, "tell")
    assert job.result() == [1, 1]
    assert [line.text for line in job.log] == ["attempt 1", "saved", "attempt 2", "saved"]
    assert job.progress is not None
    assert (job.progress.fraction, job.progress.message) == (0.5, "half")
    told = await settled(processor, "async")
    assert told.status is JobStatus.FINISHED, told.output
    assert [line.text for line in told.log] == [str(n) for n in range(900, 1000)]
    assert told.progress is not None
    assert told.progress.fraction == 1
    assert await store_of(processor).runs.state(told.id) == [1, 2, 3]


async def test_memory_is_given_back(processors: Processors) -> None:
    """With the process, at the end of each run."""
    processor = await processors.make(jobs={"memory": in_process(handlers.take_memory)})
    pid = (await settled(processor, "memory")).result()
    await eventually(functools.partial(is_gone, pid))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spin", "hold_on", "spin_with_child"])
async def test_a_child_ends_with_its_worker(sqlite_db_url: str, tmp_path: Path, name: str) -> None:
    """SIGKILL of the worker: nothing of it lives on, not even one that is busy in C."""
    program = (
        "import asyncio, sys\n"
        "from job_processor import JobDef, JobProcessor\n"
        "from tests.worker import process_handlers as handlers\n"
        "async def main():\n"
        "    job = JobDef(getattr(handlers, sys.argv[2]), executor='process')\n"
        "    async with JobProcessor(sys.argv[1], jobs={'job': job}) as processor:\n"
        "        await processor.schedule_job('job', {'file': sys.argv[3]})\n"
        "        await processor.run_worker()\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    file = tmp_path / "app.py"
    file.write_text(program)
    root = str(Path(__file__).parents[2])
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        str(file),
        sqlite_db_url,
        name,
        str(tmp_path / "pid"),
        env={**os.environ, "PYTHONPATH": root},
    )
    children = await pids(tmp_path / "pid")
    assert all(map(lives, children))
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    for pid in children:
        await eventually(functools.partial(is_gone, pid))


async def test_a_cron_in_a_process(processors: Processors) -> None:
    """As a job."""
    cron = CronDef("* * * * * *", handlers.take_memory, executor="process")
    processor, _ = await processors.start(crons={"tick": cron})

    async def has_run() -> bool:
        return bool((await processor.find_jobs(status="finished")).jobs)

    await eventually(has_run)


@pytest.mark.parametrize(
    ("handler", "executor", "told"),
    [
        (lambda: None, "process", "handler.*top of a module"),
        (functools.partial(handlers.add, {}), "process", "handler.*top of a module"),
        (handlers.add, "async", "executor: 'async'.*'thread' and 'process'"),
        (handlers.add_later, "thread", "executor: 'thread'.*'async' and 'process'"),
        (handlers.add, "fork", "executor: 'fork'.*'thread' and 'process'"),
    ],
)
def test_bad_input(handler: Any, executor: Any, told: str) -> None:
    """The error says what this handler can run in."""
    with pytest.raises(DefinitionError, match=told):
        JobDef(handler, executor=executor)


def test_the_pool_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the extra."""
    monkeypatch.setattr("job_processor.handlers.definitions.find_spec", lambda name: None)
    with pytest.raises(DefinitionError, match=r"job-processor\[processes\]"):
        in_process(handlers.add)
    assert JobDef(handlers.add, executor="thread").executor == "thread"
