"""The process of a handler opens its own resources."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from job_processor import Job, JobDef, JobProcessor, JobStatus, Retry
from job_processor.handlers.resources import GivenResources
from tests.processors import Processors
from tests.worker import process_resources as handlers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def db_url(tmp_path: Path) -> str:
    """A file: nothing here depends on the database."""
    return f"sqlite:///{tmp_path}/jobs.db"


async def run(processor: JobProcessor, name: str, payload: Any = None) -> Job:
    """Run a job to its end, and return it."""
    job = await processor.schedule_job(name, payload)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


def in_process(handler: Any, **options: Any) -> JobDef:
    """Return a job whose handler runs in a process."""
    return JobDef(handler, executor="process", **options)


def told(folder: Path) -> list[str]:
    """Return what the processes of handlers told."""
    lines = [line.rpartition(" ") for line in (folder / "told").read_text().splitlines()]
    return [text for text, _, pid in lines if pid != str(os.getpid())]


def let_fail(folder: Path, what: str) -> None:
    """Let something go wrong once, in the process of a handler."""
    (folder / f"wrong {what}").write_text(str(os.getpid()))


def error_of(job: Job) -> str:
    """Return how a job failed."""
    assert job.output is not None
    return str(job.output.error)


@pytest.mark.parametrize("lifespan", [handlers.lifespan, handlers.plain_lifespan])
@pytest.mark.parametrize("handler", [handlers.take, handlers.take_later])
async def test_each_process_enters_it_once(
    processors: Processors, tmp_path: Path, handler: Any, lifespan: Any
) -> None:
    """For itself, before the handler and what stands around it; it leaves it afterwards."""
    jobs = {"take": in_process(handler, around=handlers.around)}
    processor = await processors.make(jobs=jobs, lifespan=lifespan)
    assert (await run(processor, "take")).result() is True
    assert told(tmp_path) == ["enter", "around True", "run", "leave"]
    assert (await processor.run_job("take")).result() is True


async def test_a_context_has_them_in_a_process(processors: Processors, tmp_path: Path) -> None:
    """The lifespan is entered for whoever has one: nobody knows whether it asks."""
    jobs = {"ask": in_process(handlers.by_context)}
    processor = await processors.make(jobs=jobs, lifespan=handlers.lifespan)
    assert (await run(processor, "ask")).result() is True
    assert told(tmp_path) == ["enter", "run", "leave"]


async def test_a_handler_without_them_enters_nothing(
    processors: Processors, tmp_path: Path
) -> None:
    """It costs nothing there."""
    jobs = {"nothing": in_process(handlers.nothing)}
    processor = await processors.make(jobs=jobs, lifespan=handlers.lifespan)
    assert (await run(processor, "nothing")).result() == "done"
    assert told(tmp_path) == []


async def test_what_it_raises_at_its_start_is_a_failed_attempt(
    processors: Processors, tmp_path: Path
) -> None:
    """As what the handler raises: it is retried by its class."""
    retry = Retry(max_attempts=2, delay=0, retry_on=(handlers.OddError,))
    jobs = {"take": in_process(handlers.take, retry=retry)}
    processor = await processors.make(jobs=jobs, lifespan=handlers.lifespan)
    let_fail(tmp_path, "enter")
    job = await run(processor, "take")
    assert (job.attempt, job.result()) == (2, True)
    assert "OddError: no pool" in str(job.attempts[0].error)
    assert told(tmp_path) == ["enter", "enter", "run", "leave"]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("leave", "failed as it was left"),
        pytest.param("hang", "did not end within", marks=pytest.mark.slow),
    ],
)
async def test_what_goes_wrong_at_its_end_is_logged(
    processors: Processors, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, text: str
) -> None:
    """The result is kept, and does not wait for ever."""
    jobs = {"take": in_process(handlers.take)}
    processor = await processors.make(jobs=jobs, lifespan=handlers.lifespan, kill_grace=0.01)
    let_fail(tmp_path, what)
    assert (await run(processor, "take")).result() is True
    assert f"the lifespan {handlers.__name__}.lifespan {text}" in caplog.text


async def test_how_a_handler_ends_is_not_its_affair(processors: Processors, tmp_path: Path) -> None:
    """What that raises does not pass through it; a process that dies leaves nothing."""
    jobs = {"fails": in_process(handlers.fails), "exits": in_process(handlers.exits)}
    processor = await processors.make(jobs=jobs, lifespan=handlers.lifespan)
    assert "OddError: the handler" in error_of(await run(processor, "fails"))
    assert told(tmp_path) == ["enter", "leave"]
    assert "exit code 3" in error_of(await run(processor, "exits"))
    assert told(tmp_path) == ["enter", "leave", "enter"]


async def test_it_gets_a_processor_of_the_same_database(processors: Processors) -> None:
    """It is not set up there: a lifespan that schedules enters it, which a worker's may, too."""
    jobs = {
        "about": in_process(handlers.about),
        "later": JobDef(handlers.nothing, exclusive=True, tag="later"),
    }
    processor = await processors.make(
        jobs=jobs,
        lifespan=handlers.scheduling,
        service="shop",
        concurrency=3,
        worker_tags=["none"],
    )
    job = await run(processor, "about")
    assert job.result() == ["shop", 3, ["about", "later"]]
    found = (await processor.find_jobs(name="later")).jobs
    assert sorted(job.status for job in found) == ["pending", *["skipped"] * 3]


async def test_what_was_given_travels_by_value(processors: Processors) -> None:
    """As payloads do; what cannot says what to do, and only whoever takes it fails."""
    jobs = {"give": in_process(handlers.give), "progress": in_process(handlers.progress)}
    processor = await processors.make(jobs=jobs, lifespan=GivenResources({"a": 1}))
    assert (await run(processor, "give")).result() == 1
    processor = await processors.make(jobs=jobs, lifespan=GivenResources({"a": Lock()}))
    error = error_of(await run(processor, "give"))
    assert "resources: <a dict> is not allowed; a handler with executor='process'" in error
    assert (await run(processor, "progress")).result() == "done"


async def test_one_that_a_process_does_not_find(processors: Processors) -> None:
    """A handler with a context alone does without it, until it asks; the others fail."""
    jobs = {
        "take": in_process(handlers.take),
        "progress": in_process(handlers.progress),
        "by_context": in_process(handlers.by_context),
    }
    processor = await processors.make(jobs=jobs, lifespan=handlers.moved)
    assert "process would find another object" in error_of(await run(processor, "take"))
    assert (await run(processor, "progress")).result() == "done"
    job = await run(processor, "by_context")
    assert job.status is JobStatus.ERRORED
    assert "NotSetUpError: there are no resources" in error_of(job)
    del jobs["take"]  # without it, there is nothing to refuse
    await processors.make(jobs=jobs, lifespan=lambda _: nullcontext())
