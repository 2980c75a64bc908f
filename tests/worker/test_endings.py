"""Whatever a handler returns or raises is an ending: its job is settled, its worker works on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from job_processor import (
    AbortController,
    AbortSignal,
    Context,
    EventKind,
    JobDef,
    JobProcessor,
    NotSetUpError,
    Retry,
    RetryLater,
    Snooze,
)
from job_processor.handlers.current import current_job
from job_processor.models import Job
from job_processor.settings import ERROR_LIMIT
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import ended, in_state

ODD = os.fsdecode(b"caf\xe9.txt")
"""A file name as a Latin-1 disk gives it: UTF-8 cannot hold it."""


def in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    async def handler() -> Any:
        return function()

    return handler


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    def handler() -> Any:
        return function()

    return handler


each_kind = pytest.mark.parametrize("kind", [in_loop, in_thread])


async def settled(processors: Processors, handler: Any, **options: Any) -> Job:
    """Return the job of a handler once it has ended; the worker's only slot runs another one."""
    definitions = {"odd": JobDef(handler, **options), "next": JobDef(lambda: "ran")}
    processor, worker = await processors.start(jobs=definitions, concurrency=1)
    job = await ended(processor, await processor.schedule_job("odd"))
    following = await ended(processor, await processor.schedule_job("next"))
    assert (following.result(), worker.task.done()) == ("ran", False)
    return job


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


def hook_of(error: BaseException) -> Callable[[Any], Any]:
    return lambda _: raising(error)()


class Shelf(Mapping[str, Any]):
    """A mapping that is closed by the time it is read."""

    def __getitem__(self, key: str) -> Any:
        raise ValueError("closed")

    def __iter__(self) -> Iterator[str]:
        raise ValueError("closed")

    def __len__(self) -> int:
        return 3


class Exits(Shelf):
    def __iter__(self) -> Iterator[str]:
        raise SystemExit(2)

    def __repr__(self) -> str:
        raise KeyboardInterrupt


class Endless(Shelf):
    def __iter__(self) -> Iterator[str]:
        while True:
            yield "again"

    def __getitem__(self, key: str) -> Any:
        return "x" * 1_000_000

    def __repr__(self) -> str:
        return "<endless>"


class Liar(list[int]):
    def __len__(self) -> int:
        raise RuntimeError("I do not count")


class Lazy:
    def __repr__(self) -> str:
        raise GeneratorExit


def deep() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@each_kind
@pytest.mark.parametrize("result", [Shelf(), Exits(), Endless(), Liar([1]), Lazy(), deep()])
async def test_a_result_that_cannot_be_read_is_described(
    processors: Processors, kind: Any, result: Any
) -> None:
    """A result whose reading raises or has no end gives way to a description."""
    job = await settled(processors, kind(lambda: result))
    assert job.status == "finished"
    assert isinstance(job.result(), str)


async def test_a_result_that_changes_while_it_is_read(processors: Processors) -> None:
    """A dictionary that another thread goes on to fill ends the job, with it or a description."""
    stop = threading.Event()

    def fills() -> Any:
        shared: dict[str, int] = {str(i): i for i in range(20_000)}

        def fill() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                shared[f"n{number % 50_000}"] = number
                shared.pop(f"n{(number - 9) % 50_000}", None)

        threading.Thread(target=fill, daemon=True).start()
        return shared

    try:
        job = await settled(processors, fills)
    finally:
        stop.set()
    assert job.status == "finished"


@each_kind
@pytest.mark.parametrize("discard", [False, True])
async def test_a_result_that_never_ran_is_a_failure(
    processors: Processors, kind: Any, discard: bool
) -> None:
    """A generator or coroutine that a decorated handler returns means that it has done nothing."""

    def rows() -> Any:
        yield 1

    job = await settled(processors, kind(rows), discard_result=discard)
    assert (job.status, (job.output and job.output.error) or "")[0] == "errored"
    assert "nothing in that has run" in str(job.output and job.output.error)


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


async def test_callbacks_of_a_signal_that_fail(processors: Processors) -> None:
    """One that raises stops neither a kill, a max runtime, a shutdown nor the other callbacks."""
    told: list[str] = []

    async def tool(job: Job, signal: AbortSignal) -> None:
        signal.on_abort(raising(ProcessLookupError()))
        signal.on_abort(raising(SystemExit()))
        signal.on_abort(lambda: told.append(job.name))
        await asyncio.sleep(WAIT * 2)

    stop = AbortController()
    stop.signal.on_abort(raising(ZeroDivisionError()))
    processor = await processors.make(
        jobs={
            "killed": JobDef(tool),
            "limited": JobDef(tool, max_runtime_in_minutes=0.2 / 60),
            "stopped": JobDef(tool, resumable=True),
        }
    )
    worker = asyncio.create_task(processor.run_worker(stop.signal))
    killed, limited, stopped = await processor.schedule_jobs(["killed", "limited", "stopped"])
    assert (await ended(processor, limited)).status == "errored"
    await in_state(processor, killed, "running")
    await in_state(processor, stopped, "running")
    await processor.kill_job(killed.id)
    assert (await ended(processor, killed)).status == "killed"
    stop.abort()
    await asyncio.wait_for(worker, WAIT)
    await in_state(processor, stopped, "paused")
    assert sorted(told) == ["killed", "limited", "stopped"]


async def test_a_handler_that_swallows_its_cancellation(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given up and settled for good, and its job runs beside it in no run of this process."""
    release, begun = asyncio.Event(), []

    async def deep_inside() -> None:
        await release.wait()

    async def stubborn() -> None:
        begun.append(1)
        while not release.is_set():
            try:
                await deep_inside()
            except asyncio.CancelledError:
                continue

    options: Any = {"retry": Retry(3, delay=0.01), "max_runtime_in_minutes": 0.1 / 60}
    processor, _ = await processors.start(
        jobs={"stubborn": JobDef(stubborn, **options), "other": JobDef(lambda: None)},
        concurrency=1,
    )
    job = await ended(processor, await processor.schedule_job("stubborn"))
    assert (job.status, job.attempt) == ("errored", 1)
    assert "in deep_inside" in caplog.text  # where it stands
    await processor.retry_job(job.id)
    await ended(processor, await processor.schedule_job("other"))  # its slot is free again
    assert (len(begun), (await processor.get_job(job.id)).status) == (1, "pending")  # type: ignore[union-attr]
    release.set()
    await ended(processor, job)
    assert len(begun) == 2


async def test_a_resumable_one_that_swallows_a_shutdown(processors: Processors) -> None:
    """It stays running, as with a living thread, until its worker counts as dead."""
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    processor, worker = await processors.start(jobs={"a": JobDef(stubborn, resumable=True)})
    job = await in_state(processor, await processor.schedule_job("a"), "running")
    await worker.stop()
    left = await processor.get_job(job.id)
    assert left is not None
    assert left.status == "running"
    release.set()


async def test_a_hook_raises_what_would_end_a_program(processors: Processors) -> None:
    """A plain hook that raises KeyboardInterrupt, or StopIteration, is logged and ends."""
    hooks = [KeyboardInterrupt(), StopIteration(), SystemExit(), asyncio.CancelledError()]
    jobs = {
        f"job{i}": JobDef(lambda: None, on_job_exited=hook_of(error))
        for i, error in enumerate(hooks)
    }
    processor = await processors.make(jobs=jobs)
    await processor.schedule_jobs(list(jobs))
    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    assert await processor.count_jobs(status="finished") == len(hooks)


async def test_a_listener_that_exits_ends_no_worker(processors: Processors) -> None:
    """What a listener raises is logged, a SystemExit and a CancelledError too."""
    processor, worker = await processors.start()
    for error in (SystemExit(), asyncio.CancelledError()):
        processor.listen(hook_of(error))
    processor.job("a")(in_thread(lambda: 1))
    job = await ended(processor, await processor.schedule_job("a"))
    assert (job.result(), worker.task.done(), EventKind.FINISHED) == (1, False, "finished")


@each_kind
async def test_a_handler_changes_its_payload(processors: Processors, kind: Any) -> None:
    """Hooks, events and `run_job` get the payload as it is stored, however it was reached."""
    stored = {"id": 7, "rows": [{"n": 1}], "deep": {"a": {"b": []}}}
    seen: list[Any] = []
    processor, _ = await processors.start()

    def spoil(payload: Any, job: Any) -> None:
        payload.pop("id")
        job.payload["rows"][0]["n"] = 2
        here: Any = current_job()
        here.payload["deep"]["a"]["b"].append("spoilt")

    async def spoil_in_loop(payload: Any, job: Any) -> None:
        spoil(payload, job)

    handler = spoil if kind is in_thread else spoil_in_loop
    processor.job("a", on_job_exited=lambda job: seen.append(job.payload))(handler)
    processor.job("b")(handler)
    processor.listen(lambda event: seen.append(getattr(event.job, "payload", None)))
    await ended(processor, await processor.schedule_job("a", stored))
    ran = await processor.run_job("b", stored)
    await eventually(lambda: _long_enough(seen))
    payloads = [each for each in seen if each is not None]
    assert [ran.payload, *payloads] == [stored] * (len(payloads) + 1)


async def _long_enough(seen: list[Any]) -> bool:
    return len(seen) >= 7


async def test_a_processor_in_another_loop(processors: Processors) -> None:
    """A plain handler that runs a loop of its own is told what to use, on every store."""
    processor, _ = await processors.start()

    @processor.job()
    def schedules() -> str:
        with pytest.raises(NotSetUpError, match=r"twin\(\).*JobClient"):
            asyncio.run(processor.schedule_job("schedules"))
        return "told"

    job = await ended(processor, await processor.schedule_job("schedules"))
    assert job.result() == "told"


async def test_a_handler_that_cancels_itself(processors: Processors) -> None:
    """It has failed, like one that raises a CancelledError: nobody has interrupted it."""

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(WAIT)

    job = await settled(processors, cancels, resumable=True)
    assert job.output is not None
    assert (job.status, job.attempt) == ("errored", 1)
    assert "CancelledError" in str(job.output.error)


async def test_a_hook_that_returns_a_generator(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A decorated hook that has a yield inside has done nothing, which the log says."""

    def rows() -> Any:
        yield 1

    processor = await processors.make(
        jobs={"a": JobDef(lambda: None, on_job_exited=lambda _: rows())}
    )
    await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert "nothing in that has run" in str(errors)
