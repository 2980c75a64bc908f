"""What type checkers say about handlers whose parameters are fields; see `handles.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, assert_type

from job_processor import (
    AbortSignal,
    Context,
    Job,
    JobDef,
    JobHandle,
    JobOptions,
    JobProcessor,
    Jobs,
    Retry,
    SimpleJob,
)

processor = JobProcessor("sqlite://")


@processor.job
async def send(to: str, subject: str = "hi", *, loud: bool = False) -> int:
    """Take fields."""
    return len(to)


@processor.job(tag="sums", retry=Retry(max_attempts=5))
def add(x: int, y: int) -> str:
    """Take them in a plain function."""
    return f"{x} {y}"


@processor.job("called", max_runtime_in_minutes=3, executor="thread", exclusive=True)
def mixed(meta: dict[str, Any], to: str) -> int:
    """Take a mapping of anything among them."""
    return len(meta)


@processor.job
async def context_first(context: Context, to: str) -> int:
    """Take the context, then fields."""
    return context.attempt


@processor.job
async def stop_first(stop: AbortSignal, job: SimpleJob, to: str, times: int = 3) -> int:
    """Take the signal by its class."""
    return times


@processor.job
async def context_last(to: str, subject: str, context: Context) -> int:
    """Take the context behind fields: those are not checked."""
    return context.attempt


@processor.job
def signal_by_keyword(to: str, times: int = 1, *, signal: AbortSignal) -> int:
    """Take the signal by keyword behind fields."""
    return times


@processor.job
async def context_by_keyword(to: str, *, context: Context) -> int:
    """Take the context by keyword behind a field."""
    return context.attempt


@processor.job
async def nothing() -> float:
    """Take nothing."""
    return 1.0


@processor.job
async def defaults(to: str = "ada", *, loud: bool = False) -> int:
    """Take fields that all have defaults: those are not checked."""
    return len(to)


@processor.job
async def context_and_defaults(context: Context, to: str = "ada") -> int:
    """Take the context, too."""
    return context.attempt


@processor.job
async def two_and_defaults(job: SimpleJob, signal: AbortSignal, to: str = "ada") -> int:
    """Take the job and the signal, too."""
    return len(to)


@processor.job
async def anything(data: Any, times: int = 1) -> int:
    """Take a field of any kind first."""
    return times


@processor.cron("0 2 * * *", timezone="Europe/Paris", misfire="skip", retry=3)
async def nightly(signal: AbortSignal) -> None:
    """Fire."""


@asynccontextmanager
async def session(job: Job) -> AsyncIterator[None]:
    """Stand around a job."""
    yield


@contextmanager
def connection(job: Job) -> Iterator[int]:
    """Stand around it where it runs."""
    yield 1


@processor.job(around=session, max_runtime=timedelta(minutes=5), retry=Retry(delay=timedelta(1)))
async def surrounded(to: str) -> int:
    """Run inside of a session."""
    return len(to)


defaulted = JobProcessor(
    "sqlite://",
    defaults=JobOptions(retry=3, max_runtime_in_minutes=timedelta(hours=1), around=connection),
    around=session,
    history_days=timedelta(weeks=2),
    kill_grace=timedelta(seconds=1),
)

jobs = Jobs(prefix="mail.")
together = JobProcessor("sqlite://", jobs=[jobs, {"old": JobDef(None)}])


@jobs.job(tag="mail")
async def collected(to: str) -> int:
    """Stand in a collection."""
    return len(to)


@processor.job
async def plain(job: SimpleJob, signal: AbortSignal) -> None:
    """Take no field."""


async def right() -> None:
    """Schedule, run, wait and call as one should."""
    assert_type(send.name, str)
    assert_type((await send.schedule("ada")).result(), int)
    assert_type((await send.run("ada", subject="x", loud=True)).result(), int)
    assert_type((await send.wait(await send.schedule(to="ada"), timeout=3)).result(), int)
    assert_type(await send("ada"), int)
    assert_type(add(1, y=2), str)
    assert_type((await add.run(1, y=2)).result(), str)
    assert_type(add.schedule_sync(x=1, y=2).result(), str)
    assert_type((await context_first.run(to="ada")).result(), int)
    await context_first.schedule("ada")
    await stop_first.schedule("ada", times=3)
    assert_type((await context_last.run(to="ada", subject="x")).result(), int)
    assert_type((await signal_by_keyword.run(to="ada")).result(), int)
    assert_type((await context_by_keyword.run(to="ada")).result(), int)
    assert_type((await nothing.run()).result(), float)
    assert_type((await mixed.run({"a": 1}, to="ada")).result(), int)
    await anything.schedule(data=[1], times=2)
    assert_type((await defaults.run(to="ada", loud=True)).result(), int)
    assert_type((await context_and_defaults.run(to="ada")).result(), int)
    assert_type((await two_and_defaults.run(to="ada")).result(), int)
    assert_type((await defaults.run()).result(), int)
    await plain.schedule({"any": 1}, priority=3)
    await send.options(scheduled_for=timedelta(minutes=5), priority=3).schedule("ada")
    await send.schedule_many([{"to": "ada"}], on_progress=print)
    await processor.schedule_jobs([send.request("ada"), add.options(unique_key="k").request(1, 2)])
    assert_type((await collected.run("ada")).result(), int)
    assert_type((await surrounded.run("ada")).result(), int)
    await send.options(unique_key="k", unique_for=timedelta(hours=1)).schedule("ada")
    await nightly(AbortSignal())
    whole: JobHandle[[int, int], str] = add
    other: JobHandle[..., Coroutine[Any, Any, int]] = context_first
    assert whole.name != other.name


async def wrong() -> None:
    """Schedule as one should not."""
    await send.schedule()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await send.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await send.schedule("ada", sbject="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await send.run("ada", priority=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    add("x", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add.request(x=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await context_first.schedule()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await stop_first.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mixed.schedule({}, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await collected.schedule(to=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    jobs.job(tags=["x"])(add.handler)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    JobOptions(retri=3)  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportCallIssue]
    processor.job(around=3)(add.handler)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    send.options(prio=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.delay("ada")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    processor.job(retri=2)(add.handler)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    processor.job(retry="2")(add.handler)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    processor.cron("0 2 * * *", tz="UTC")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
