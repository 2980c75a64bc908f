"""Threads of our own: run functions, tell their end, and are waited for only for so long."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from job_processor.tasks import OwnThread, ThreadPool, in_thread
from tests.processors import WAIT

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")


async def test_a_thread_that_hangs_is_waited_for_only_for_so_long() -> None:
    """Its end is told once it comes; a thread that never began has nothing to end."""
    release = threading.Event()
    thread = OwnThread(release.wait, "test")
    assert await thread.ended(WAIT)
    thread.start()
    assert not await thread.ended(0.01)
    release.set()
    assert await thread.ended(WAIT)


async def test_a_function_runs_in_the_context_of_its_caller() -> None:
    """In a thread of its own and in one of a pool; what it raises comes out, StopIteration too."""
    SEEN.set("the caller's")
    pool = ThreadPool(1, "test")
    assert await in_thread(SEEN.get, "test") == "the caller's"
    assert await asyncio.wrap_future(pool.submit(SEEN.get)) == "the caller's"

    def stop() -> None:
        raise StopIteration("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await in_thread(stop, "test")
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(pool.submit(lambda: 1 / 0))
    pool.close()


async def test_a_pool_runs_so_many_at_a_time() -> None:
    """No more threads than its limit; each takes the next; what was cancelled does not run."""
    release, begun = threading.Event(), threading.Semaphore(0)
    ran: list[int] = []

    def work(number: int) -> None:
        ran.append(number)
        begun.release()
        release.wait(WAIT)

    pool = ThreadPool(2, "test")
    futures = [pool.submit(lambda number=number: work(number)) for number in range(5)]  # type: ignore[misc]
    assert begun.acquire(timeout=WAIT)
    assert begun.acquire(timeout=WAIT)
    assert sorted(ran) == [0, 1]
    assert futures[2].cancel()
    release.set()
    async with asyncio.timeout(WAIT):
        await asyncio.gather(*map(asyncio.wrap_future, [*futures[:2], *futures[3:]]))
    assert sorted(ran) == [0, 1, 3, 4]
    pool.close()


async def test_threads_of_a_closed_pool_end() -> None:
    """Each after what it does."""
    pool = ThreadPool(2, "closed-pool")
    await asyncio.wrap_future(pool.submit(int))
    (thread,) = [each for each in threading.enumerate() if each.name.startswith("closed-pool")]
    pool.close()
    await in_thread(lambda: thread.join(WAIT), "test")
    assert not thread.is_alive()
