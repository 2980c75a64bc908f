"""What a worker's process gives to handlers and driver alike, and takes back at its end."""

import asyncio
import threading

from job_processor.cli.supervise.stopping import Leaving


async def test_handlers_that_occupy_asyncios_threads_leave_one_to_the_driver() -> None:
    """With 200 calls of `asyncio.to_thread` under way, one more is answered at once.

    MongoDB's driver looks up hosts there; asyncio's own executor has 32 threads at most.
    """
    Leaving()
    free = threading.Event()
    occupied = [asyncio.create_task(asyncio.to_thread(free.wait, 30)) for _ in range(200)]
    try:
        answer = await asyncio.wait_for(asyncio.to_thread(lambda: "looked up"), 10)
    finally:
        free.set()
        await asyncio.gather(*occupied)
    assert answer == "looked up"
