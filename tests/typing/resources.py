"""What type checkers say about a lifespan, and about handlers that take resources.

See `handles.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import assert_type

from job_processor import AbortSignal, Context, Job, JobProcessor, SimpleJob
from job_processor.testing import in_memory


@dataclass
class Opened:
    """What a process opens once."""

    client: str


@asynccontextmanager
async def opened(processor: JobProcessor) -> AsyncIterator[Opened]:
    """Open it."""
    yield Opened(processor.address)


@contextmanager
def opened_plainly(processor: JobProcessor) -> Iterator[Opened]:
    """Open it in a plain function."""
    yield Opened(processor.address)


async def not_a_manager(processor: JobProcessor) -> None:
    """Open nothing."""


processor = JobProcessor("sqlite://", lifespan=opened)
plain = JobProcessor("sqlite://", lifespan=opened_plainly)


@processor.job
async def first(resources: Opened, to: str, times: int = 1) -> int:
    """Take resources, then fields."""
    return times


@processor.job(retry=3)
def first_with_context(resources: Opened, context: Context, to: str) -> str:
    """Take the context, too."""
    return resources.client


@processor.job
async def behind_signal(signal: AbortSignal, resources: Opened, to: str) -> int:
    """Take them behind what is given."""
    return 1


@processor.job
async def behind_job(job: SimpleJob, resources: Opened, to: str) -> int:
    """Take them behind the job."""
    return 1


@processor.job
async def last(to: str, subject: str, resources: Opened) -> int:
    """Take them behind fields: those are not checked."""
    return 1


@processor.job
async def by_keyword(to: str, times: int = 1, *, resources: Opened) -> int:
    """Take them by keyword behind fields."""
    return times


@processor.job
async def only(resources: Opened) -> float:
    """Take nothing else."""
    return 1.0


@processor.job
async def with_defaults(resources: Opened, to: str = "ada") -> int:
    """Take fields that have defaults."""
    return len(to)


@processor.job
async def whole(payload: dict[str, int], resources: Opened) -> int:
    """Take the whole payload."""
    return payload["a"]


@processor.job
async def whole_with_context(resources: Opened, payload: Opened, context: Context) -> int:
    """Take the context, too."""
    return context.attempt


@processor.cron("0 2 * * *")
async def nightly(resources: Opened) -> None:
    """Fire."""


@asynccontextmanager
async def session(job: Job, resources: Opened) -> AsyncIterator[None]:
    """Stand around a job."""
    yield


def exited(job: Job, resources: Opened) -> None:
    """Follow a job."""


@processor.job(around=session, on_job_exited=exited)
async def surrounded(to: str) -> int:
    """Run inside of a session."""
    return len(to)


async def right() -> None:
    """Schedule, run and call as one should."""
    assert_type((await first.run("ada", times=3)).result(), int)
    await first.schedule(to="ada")
    assert_type(await first(Opened("x"), "ada"), int)
    assert_type((await first_with_context.run(to="ada")).result(), str)
    assert_type((await behind_signal.run("ada")).result(), int)
    assert_type((await behind_job.run("ada")).result(), int)
    assert_type((await last.run("ada", subject="x")).result(), int)
    assert_type((await by_keyword.run("ada", times=2)).result(), int)
    assert_type((await only.run()).result(), float)
    assert_type((await with_defaults.run(to="ada")).result(), int)
    assert_type((await whole.run({"a": 1})).result(), int)
    assert_type((await whole_with_context.run(Opened("x"))).result(), int)
    assert_type((await surrounded.run("ada")).result(), int)
    await nightly(Opened("x"))
    async with processor.resources() as resources:
        assert resources.client
    async with in_memory(processor, resources=Opened("fake")) as tester:
        assert tester.resources


async def wrong() -> None:
    """Do as one should not."""
    await first.schedule()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await first.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await first.schedule("ada", resources=Opened("x"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await first_with_context.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await behind_signal.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await with_defaults.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await whole.schedule({"a": "x"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    JobProcessor("sqlite://", lifespan=not_a_manager)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
