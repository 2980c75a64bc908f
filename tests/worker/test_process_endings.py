"""What a handler raises means the same in a process as in a thread and in the event loop."""

from __future__ import annotations

import os
import pickle
import signal
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, RetryLater
from job_processor.models import Job
from job_processor.worker.processes.portable import pack, unpack
from tests.processors import Processors
from tests.worker import raised
from tests.worker.probe import ended


async def _after_one_attempt(processor: JobProcessor, raises: str) -> dict[str, Job]:
    """Return what one attempt of each kind left."""
    names = list(processor.registry.jobs)
    made = await processor.schedule_jobs([(name, {"raises": raises}) for name in names])
    await processor.run_worker(burst=True)
    found = [await processor.get_job(job.id) for job in made]
    return {name: job for name, job in zip(names, found, strict=True) if job is not None}


@pytest.mark.parametrize(
    ("raises", "retry", "status", "attempt"),
    [
        ("api", "none", "errored", 1),
        ("api", "any", "pending", 2),
        ("busy", "on api", "pending", 2),
        ("busy", "but api", "errored", 1),
        ("odd", "but api", "pending", 2),
        ("odd", "on api", "errored", 1),
        ("made", "on made", "pending", 2),
        ("made", "on api", "errored", 1),
        ("limited", "none", "pending", 2),
        ("limited", "on api", "pending", 2),
        ("early", "none", "pending", 1),
        ("bare", "any", "errored", 1),
        ("unready", "none", "errored", 1),
        ("hostile", "any", "pending", 2),
        ("exit", "any", "errored", 1),
        ("generator", "any", "errored", 1),
        ("cancelled", "any", "pending", 2),
        ("stop", "any", "pending", 2),
        ("group", "any", "pending", 2),
        ("group", "on api", "errored", 1),
        ("group", "on group", "pending", 2),
        ("group", "but api", "errored", 1),
        ("early group", "none", "pending", 1),
        ("bare group", "any", "errored", 1),
    ],
)
async def test_it_means_the_same_everywhere(
    processors: Processors, raises: str, retry: str, status: str, attempt: int
) -> None:
    """State, number of the attempt, and what it says: of coroutine, thread and process alike."""
    options: Any = {"retry": raised.RETRIES[retry]}
    processor = await processors.make(
        jobs={
            "loop": JobDef(raised.in_the_loop, **options),
            "thread": JobDef(raised.in_a_thread, **options),
            "process": JobDef(raised.in_a_thread, executor="process", **options),
        }
    )
    jobs = await _after_one_attempt(processor, raises)
    assert {name: (job.status, job.attempt) for name, job in jobs.items()} == dict.fromkeys(
        ("loop", "thread", "process"), (status, attempt)
    )
    lines = {
        name: str(job.output and job.output.error).split("\n")[0] for name, job in jobs.items()
    }
    assert lines["process"] == lines["thread"]


async def test_odd_text_of_a_process(processors: Processors) -> None:
    """Log, progress, RetryLater and result of a process may say what UTF-8 cannot hold."""
    processor, worker = await processors.start(
        jobs={"a": JobDef(raised.says_odd_things, executor="process")}
    )
    job = await ended(processor, await processor.schedule_job("a"))
    assert (job.status, job.attempt, worker.task.done()) == ("finished", 2, False)
    assert job.progress is not None
    assert (job.log[0].text, job.progress.message) == ("reading caf?.txt", "at caf?.txt")
    assert str(job.attempts[0].error).startswith("caf?.txt is being written")
    assert isinstance(job.result(), str)


async def test_nonsense_in_the_channel(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that writes nonsense to its worker ends as it would have without it."""
    processor, worker = await processors.start(
        jobs={"a": JobDef(raised.talks_nonsense, executor="process")}, concurrency=1
    )
    job = await ended(processor, await processor.schedule_job("a"))
    assert (job.result(), worker.task.done()) == ("done", False)
    assert [line.text for line in job.log] == ["still here"]
    told = [line for line in caplog.messages if "sent what cannot be read" in line]
    assert len(told) == 8


@pytest.mark.slow
async def test_who_holds_the_channel_open_holds_nobody_up(processors: Processors) -> None:
    """A program that outlives its handler, with the handler's pipes, keeps no job running."""
    processor, _ = await processors.start(
        jobs={"a": JobDef(raised.leaves_somebody_behind, executor="process")}
    )
    job = await ended(processor, await processor.schedule_job("a"))
    os.kill(int(job.result()), signal.SIGKILL)


@pytest.mark.parametrize("discard", [False, True])
async def test_a_generator_of_a_process(processors: Processors, discard: bool) -> None:
    """One that a handler returns means that nothing has run, in a process too."""
    definition = JobDef(raised.gives_rows, executor="process", discard_result=discard)
    processor, _ = await processors.start(jobs={"a": definition})
    job = await ended(processor, await processor.schedule_job("a"))
    assert job.status == "errored"
    assert "nothing in that has run" in str(job.output and job.output.error)


@pytest.mark.parametrize("name", sorted(raised.RAISED))
def test_an_exception_travels(name: str) -> None:
    """What arrives is of the class of what was raised, with its message and its attributes."""
    error = raised.RAISED[name]()
    there = unpack(pickle.loads(pickle.dumps(pack(error))), [raised.Made])  # noqa: S301  # ours
    assert type(there) is type(error)
    assert getattr(there, "status", None) == getattr(error, "status", None)
    if isinstance(error, RetryLater) and name != "unready":
        assert (str(there), there.delay) == (str(error), error.delay)  # type: ignore[attr-defined]


def test_an_exception_of_an_unknown_class() -> None:
    """A class that is not here gives way to one of its name, derived from what is known of it."""
    packed = pack(raised.BusyError(503, "busy"))
    elsewhere = type(packed)(
        (("nowhere", "Gone"), *packed.classes), "HTTP 503: busy", None, packed.arguments
    )
    there = unpack(elsewhere)
    assert isinstance(there, raised.BusyError)
    assert (type(there).__name__, str(there)) == ("Gone", "HTTP 503: busy")


def test_what_is_no_exception() -> None:
    """Nonsense in its place becomes an error like any other."""
    nonsense: Any = pack(ValueError())
    for broken in (None, 7, type(nonsense)((), "", b"x"), type(nonsense)((), "", None)):
        assert isinstance(unpack(broken), BaseException)  # type: ignore[arg-type]
