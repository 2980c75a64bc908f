"""A processor belongs to the event loop that sets it up; another one is told so, or served anew."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from job_processor import DefinitionError, JobDef, JobProcessor, NotSetUpError
from job_processor.web import create_app
from tests.processors import QUICK


@pytest.fixture(autouse=True)
def leftovers() -> Iterator[None]:
    """What a loop leaves that ends too early is collected here, and not in another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def hello() -> int:
    """Return a number."""
    return 1


@pytest.fixture
def processor(db_url: str) -> JobProcessor:
    """A processor that nobody has set up."""
    return JobProcessor(db_url, jobs={"hello": JobDef(hello)}, **QUICK)


def test_one_loop_after_the_other(processor: JobProcessor) -> None:
    """Closed in between or not, each `asyncio.run` finds it working."""

    async def closing() -> None:
        async with processor:
            await processor.schedule_job("hello")

    async def leaving() -> int:
        await processor.setup()
        await processor.schedule_job("hello")
        await processor.run_worker(burst=True)
        return await processor.count_jobs(status="finished")

    asyncio.run(closing())
    asyncio.run(closing())
    assert asyncio.run(leaving()) == 3
    assert asyncio.run(leaving()) == 4
    asyncio.run(processor.close())


def test_a_database_in_memory_keeps_its_jobs() -> None:
    """It has no connection that a loop could take along."""
    processor = JobProcessor("sqlite://", jobs={"hello": JobDef(hello)})

    async def schedule() -> int:
        await processor.setup()
        await processor.schedule_job("hello")
        return await processor.count_jobs()

    assert [asyncio.run(schedule()) for _ in range(3)] == [1, 2, 3]
    asyncio.run(processor.close())


@pytest.mark.parametrize(
    "call",
    [
        lambda processor: processor.schedule_job("hello"),
        lambda processor: processor.setup(),
        lambda processor: processor.get_status(),
        lambda processor: processor.run_worker(burst=True),
    ],
    ids=["schedule", "setup", "status", "worker"],
)
async def test_a_second_loop_beside_the_first(
    processor: JobProcessor, call: Callable[[JobProcessor], Any]
) -> None:
    """As of `asyncio.run` in a plain handler: the same clear error on each store."""

    def elsewhere() -> None:
        asyncio.run(call(processor))

    async with processor:
        with pytest.raises(NotSetUpError, match=r"another event loop.*twin.*JobClient"):
            await asyncio.to_thread(elsewhere)
        assert await processor.count_jobs() == 0


@pytest.mark.mongo
def test_a_database_that_was_passed_in(mongo_db_url: str) -> None:
    """It belongs to the loop of its client for good."""
    client: AsyncMongoClient[Any] = AsyncMongoClient(mongo_db_url)
    processor = JobProcessor(client.get_default_database(), jobs={"hello": JobDef(hello)})

    async def use() -> None:
        await processor.setup()
        await processor.schedule_job("hello")

    asyncio.run(use())
    with pytest.raises(NotSetUpError, match="another event loop"):
        asyncio.run(use())


def test_a_dashboard_that_is_tested_without_its_lifespan(processor: JobProcessor) -> None:
    """Each request comes from a loop of its own."""
    site = Starlette(routes=[Mount("/queue", create_app(processor, lambda _: "all"))])
    client = TestClient(site)
    assert [client.get("/queue/jobs").status_code for _ in range(3)] == [200] * 3
    asyncio.run(processor.close())


def test_where_no_loop_of_asyncio_runs(processor: JobProcessor) -> None:
    """Another kind of loop is told of in words."""

    async def use() -> None:
        async with processor:
            await processor.schedule_job("hello")

    anyio.run(use, backend="asyncio")
    coroutine = use()
    with pytest.raises(NotSetUpError, match="backend='asyncio'"):
        coroutine.send(None)  # as a loop of another kind would
    coroutine.close()


CELLS = """
import sys
sys.ps1 = "In : "
from job_processor import JobProcessor
processor = JobProcessor("sqlite://")
cell = '''
@processor.job()
def hello(): return {0}

@processor.cron("0 0 * * *", tag="{0}")
def nightly(): ...
'''
exec(cell.format(1))
exec(cell.format(2))
assert processor.registry.jobs["hello"].handler() == 2
assert processor.registry.crons["nightly"].tag == "2"
try:
    exec("def other(): ...\\nprocessor.job('hello')(other)")
except Exception as error:
    print(type(error).__name__)
"""


def test_a_cell_that_runs_again() -> None:
    """In an interactive session the same function takes its own place; another one does not."""
    done = subprocess.run(
        [sys.executable, "-c", CELLS], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("DefinitionError\n", "")


def test_a_name_is_defined_once(processor: JobProcessor) -> None:
    """In a program, twice is a mistake."""
    with pytest.raises(DefinitionError, match="that no job or cron has yet"):
        processor.job("hello")(hello)
