"""Log lines that know their job, of the standard library and of structlog."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from job_processor import Job, JobDef, JobStatus, Retry
from job_processor.integrations.logs import (
    FIELDS,
    ConsoleFormatter,
    JobFilter,
    JsonFormatter,
    add_job,
    current_job,
    of_job,
)
from tests.processors import Processors


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(JobFilter())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def fields(self, message: str) -> list[tuple[Any, ...]]:
        """Return the fields of the records with this message."""
        return [
            tuple(getattr(record, field) for field in FIELDS)
            for record in self.records
            if record.getMessage() == message
        ]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What anybody logs, from the level of debug on."""
    handler, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def fields_of(job: Job) -> tuple[str, str, int, str]:
    """Return what a line of a run should tell."""
    return str(job.id), job.name, job.attempt, str(job.worker_id)


async def test_lines_know_their_job(processors: Processors, lines: Lines) -> None:
    """Of a coroutine, its tasks, a thread and what it starts by asyncio; jobs side by side."""
    other_logger = logging.getLogger("some.library")
    both = asyncio.Barrier(2)

    async def coroutine() -> None:
        await both.wait()  # the other one runs, too
        other_logger.info("coroutine")
        await asyncio.create_task(child())
        await asyncio.to_thread(other_logger.info, "to_thread")

    async def child() -> None:
        other_logger.info("task")

    def plain() -> None:
        other_logger.info("plain")

    jobs = {"coroutine": JobDef(coroutine), "plain": JobDef(plain)}
    processor = await processors.make(jobs=jobs)
    made = await processor.schedule_jobs(["coroutine", "coroutine", "plain"])
    await processor.run_worker(burst=True)
    ended = [await processor.wait_for_job(job.id) for job in made]
    first, second, third = [fields_of(job) for job in ended]
    for message in ("coroutine", "task", "to_thread"):
        assert sorted(lines.fields(message)) == sorted([first, second])
    assert lines.fields("plain") == [third]
    other_logger.info("outside")
    assert lines.fields("outside") == [(None, None, None, None)]


async def test_each_attempt_tells_its_number(processors: Processors, lines: Lines) -> None:
    """A second attempt is the second on its lines."""

    async def fail() -> None:
        logging.getLogger("x").info("trying")
        raise ValueError

    retry = Retry(max_attempts=2, delay=0)
    processor, _ = await processors.start(jobs={"a": JobDef(fail, retry=retry)})
    job = await processor.schedule_job("a")
    assert (await processor.wait_for_job(job.id)).status is JobStatus.ERRORED
    assert [attempt for _, _, attempt, _ in lines.fields("trying")] == [1, 2]


async def test_the_hook_of_a_job_knows_it(processors: Processors, lines: Lines) -> None:
    """What on_job_exited writes is of the job that ended."""
    hooked = asyncio.Event()

    async def exited(_job: Job) -> None:
        logging.getLogger("x").info("ended")
        hooked.set()

    jobs = {"a": JobDef(lambda: None, on_job_exited=exited)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("a")
    await hooked.wait()
    assert [job_id for job_id, *_ in lines.fields("ended")] == [str(job.id)]


async def test_structlog_knows_it_too(processors: Processors) -> None:
    """Through the processor `add_job`; what a line says itself stays."""
    events: list[Any] = []

    def keep(_logger: Any, _method: str, event: Any) -> Any:
        events.append(dict(event))
        raise structlog.DropEvent

    logger = structlog.wrap_logger(logging.getLogger("structured"), processors=[add_job, keep])

    def plain() -> str:
        logger.info("inside", n=1)
        logger.info("own", job_name="mine")
        job = current_job()
        return "" if job is None else job.name

    processor = await processors.make(jobs={"a": JobDef(plain)})
    job = await processor.run_job("a")
    assert job.result() == "a"
    logger.info("outside")
    known = dict(zip(FIELDS, fields_of(job), strict=True))
    assert events == [
        {"event": "inside", "n": 1, **known},
        {"event": "own", **known, "job_name": "mine"},
        {"event": "outside"},
    ]
    assert current_job() is None


def record(message: str, *arguments: object) -> logging.LogRecord:
    """Return a record as a handler gets it, filtered."""
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, arguments, None)
    assert JobFilter().filter(made)
    return made


async def test_formats(processors: Processors) -> None:
    """JSON has an object a line; the console names the job, unless the line does."""
    processor = await processors.make(jobs={"a": JobDef(None)})
    job = await processor.schedule_job("a")
    console = ConsoleFormatter("%(levelname)s %(message)s")
    outside = record("no %s", "job")
    assert console.format(outside) == "WARNING no job"
    assert set(json.loads(JsonFormatter().format(outside))) == {
        "time",
        "level",
        "logger",
        "message",
    }
    with of_job(job):
        inside, named = record("two\nlines\u2028é"), record("of %s", job.id)
    assert current_job() is None
    assert console.format(inside) == f"WARNING two\nlines\u2028é [a {job.id}]"
    assert console.format(named) == f"WARNING of {job.id}"
    error = ValueError("as told")
    inside.exc_info = type(error), error, None
    inside.stack_info = "Stack (most recent call last):"
    line = JsonFormatter().format(inside)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("exception").endswith("ValueError: as told")
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "warning",
        "logger": "a.logger",
        "message": "two\nlines\u2028é",
        "job_id": str(job.id),
        "job_name": "a",
        "attempt": 1,
        "stack": "Stack (most recent call last):",
    }
