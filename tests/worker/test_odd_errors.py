"""Whatever a handler raises, its job is settled: exceptions of every kind, and groups of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from typing import Any

import pytest

from job_processor import Context, JobDef, JobProcessor, Retry, RetryLater, Snooze
from job_processor.models import Job
from job_processor.settings import ERROR_LIMIT
from tests.processors import Processors, eventually
from tests.worker.endings import ODD, each_kind, in_thread, raising, settled
from tests.worker.probe import ended, in_state


class Unready(RetryLater):
    def __init__(self) -> None:
        """Hand nothing on."""


class UnreadySnooze(Snooze):
    def __init__(self) -> None:
        """Hand nothing on."""


class Mute(RetryLater):
    def __init__(self) -> None:
        super().__init__("x", delay=1)

    def __str__(self) -> str:
        raise SystemExit(3)


class BrokenError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


class Bare(BaseException):
    pass


class ChainedError(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise SystemExit(4)


@each_kind
@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (GeneratorExit(), "errored", "GeneratorExit"),
        (SystemExit(2), "errored", "SystemExit: 2"),
        (KeyboardInterrupt(), "errored", "KeyboardInterrupt"),
        (asyncio.CancelledError(), "errored", "CancelledError"),
        (Bare("bare"), "errored", "Bare: bare"),
        (BrokenError(), "errored", "BrokenError"),
        (ChainedError("chained"), "errored", "SystemExit: 4"),
        (Unready(), "errored", "super().__init__(…, delay=seconds)"),
        (UnreadySnooze(), "errored", "super().__init__(…, delay=seconds)"),
    ],
)
async def test_whatever_is_raised_ends_the_job(
    processors: Processors, kind: Any, error: BaseException, status: str, told: str
) -> None:
    """Exceptions that are no Exception, and those that raise when they are read, are endings."""
    job = await settled(processors, kind(raising(error)))
    assert job.output is not None
    assert job.status == status
    assert told in str(job.output.error)


@each_kind
async def test_a_retry_that_says_nothing_is_one(processors: Processors, kind: Any) -> None:
    """A RetryLater whose message cannot be read is tried again; the message names its class."""
    processor, _ = await processors.start(jobs={"a": JobDef(kind(raising(Mute())))})
    job = await in_state(processor, await processor.schedule_job("a"), "pending")
    job = await eventually(lambda: _second(processor, job))
    assert job.output is not None
    assert "Mute" in str(job.output.error)


async def _second(processor: JobProcessor, job: Job) -> Job | None:
    found = await processor.get_job(job.id)
    return found if found is not None and found.attempt >= 2 else None


@each_kind
async def test_a_cancellation_of_another_library_is_a_failure(
    processors: Processors, kind: Any
) -> None:
    """`concurrent.futures.CancelledError` is an Exception, tried again like any other."""
    retry = Retry(max_attempts=3, delay=0.01)
    job = await settled(processors, kind(raising(concurrent.futures.CancelledError())), retry=retry)
    assert (job.status, job.attempt) == ("errored", 3)


@each_kind
async def test_text_that_utf8_cannot_hold(processors: Processors, kind: Any) -> None:
    """A lone surrogate in whatever a handler says of itself is replaced, its job settled."""
    processor, worker = await processors.start()

    def says(context: Context) -> Any:
        context.log(f"reading {ODD}")
        context.progress(0.5, f"at {ODD}")
        if context.attempt == 1:
            raise RetryLater(f"{ODD} is being written" + "x" * 2 * ERROR_LIMIT, delay=0)
        error = ValueError(ODD)
        error.add_note(ODD)
        raise ExceptionGroup(ODD, [error]) from OSError(ODD)

    async def says_in_loop(context: Context) -> Any:
        return says(context)

    processor.job("a", retry=2)(says if kind is in_thread else says_in_loop)
    job = await ended(processor, await processor.schedule_job("a"))
    assert (job.status, job.attempt, worker.task.done()) == ("errored", 2, False)
    assert job.output is not None
    assert job.progress is not None
    assert job.log[0].text == "reading caf?.txt"
    assert job.progress.message == "at caf?.txt"
    assert str(job.attempts[0].error).startswith("caf?.txt is being written")
    assert str(job.output.error).startswith("ExceptionGroup: caf?.txt (1 sub-exception)")
    assert len(str(job.output.error)) <= ERROR_LIMIT


class Limited(RetryLater):
    def __init__(self, seconds: float) -> None:
        super().__init__("limited", delay=seconds)


def nested(*errors: Exception) -> ExceptionGroup[Exception]:
    """Return a group of a group."""
    return ExceptionGroup("outer", [ExceptionGroup("inner", list(errors))])


LATER, EARLY, DOWN, WRONG = Limited(90), Snooze(delay=90), ConnectionError("down"), KeyError("k")


@each_kind
@pytest.mark.parametrize(
    ("error", "retry", "status", "attempt"),
    [
        (nested(EARLY), None, "pending", 1),
        (nested(EARLY, EARLY), None, "pending", 1),
        (nested(LATER), None, "pending", 2),
        (nested(LATER, EARLY), None, "pending", 2),
        (nested(LATER, DOWN), None, "errored", 1),
        (nested(DOWN), Retry(delay=90, retry_on=(OSError,)), "pending", 2),
        (nested(DOWN, LATER), Retry(delay=90, retry_on=(OSError,)), "pending", 2),
        (nested(DOWN, WRONG), Retry(delay=90, retry_on=(OSError,)), "errored", 1),
        (nested(DOWN, WRONG), Retry(delay=90), "pending", 2),
        (nested(DOWN, WRONG), Retry(delay=90, give_up_on=(KeyError,)), "errored", 1),
        (nested(DOWN), Retry(delay=90, retry_on=(ExceptionGroup,)), "pending", 2),
        (nested(DOWN), Retry(delay=90, give_up_on=(ExceptionGroup,)), "errored", 1),
        (BaseExceptionGroup("b", [Bare()]), Retry(delay=90), "errored", 1),
    ],
)
async def test_what_a_group_means(
    processors: Processors,
    kind: Any,
    error: BaseException,
    retry: Retry | None,
    status: str,
    attempt: int,
) -> None:
    """A group asks only if all in it ask; it is tried again if each is, given up if one is."""
    processor = await processors.make(jobs={"a": JobDef(kind(raising(error)), retry=retry)})
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    found = await processor.get_job(job.id)
    assert found is not None
    assert (found.status, found.attempt) == (status, attempt)


async def test_parts_and_causes_are_stored(processors: Processors) -> None:
    """An error is stored with the members of a group, the causes of each, and all tracebacks."""
    processor, _ = await processors.start()

    async def fails(name: str) -> None:
        try:
            os.environ[name]
        except KeyError as error:
            raise ConnectionError(f"{name} refused") from error

    @processor.job()
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails("db-" + "1"))

    job = await ended(processor, await processor.schedule_job("group"))
    assert job.output is not None
    lines = str(job.output.error).splitlines()
    assert lines[:3] == [
        "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
        "- ConnectionError: db-1 refused",
        "Caused by KeyError: 'db-1'",
    ]
    assert "Traceback of ConnectionError: db-1 refused:" in lines
    assert "Traceback of KeyError: 'db-1':" in lines
