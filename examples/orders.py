"""An order that is charged, cools off and is shipped: durable steps that survive a crash.

    pip install job-processor
    # with uv: uv add job-processor
    python examples/orders.py

The first worker is killed in the middle of the order. The second one goes on after the last step.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from job_processor import Context, JobProcessor, Retry

BOOKS = Path("charges.txt")  # what the bank has booked, by idempotency key
MARK = Path("crashed")
processor = JobProcessor("sqlite:///orders.db", heartbeat_interval=0.5, worker_timeout=2.0)


def charge(amount: float, key: str) -> str:
    with BOOKS.open("a") as books:
        books.write(f"{amount} {key.partition(':')[2]}\n")
    return f"receipt for {amount}"


def ship(item: str, crash: bool) -> str:
    if crash and not MARK.exists():
        MARK.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{item} is on its way"


@processor.job
async def order(amount: float, items: list[str], context: Context) -> list[str]:
    def pay() -> str:  # a plain function runs in a thread
        return charge(amount, context.step_key)

    receipt = await context.step("charge", pay, retry=Retry(3, delay=0.1))
    await context.sleep("cool off", seconds=0.5)  # no worker is held
    shipped = [await context.step("ship", ship, item, item == "a pen") for item in items]
    return [receipt, *shipped]


def booked() -> int:
    return len(BOOKS.read_text().splitlines())


async def main() -> None:
    async with processor:
        job = await order.schedule(amount=30.0, items=["a book", "a pen"])
        first = await asyncio.create_subprocess_exec(sys.executable, __file__, "work")
        print("the first worker was killed:", await first.wait() == -signal.SIGKILL)
        second = await asyncio.create_subprocess_exec(sys.executable, __file__, "work")
        job = await processor.wait_for_job(job.id)
        second.terminate()
        await second.wait()
        for step in job.steps:
            print(f"{step.name}: {step.result or 'slept'}")
        print(f"{job.status}, charged {booked()} time")


async def work() -> None:
    logging.disable(logging.WARNING)  # the second one warns of the death of the first
    async with processor:
        await processor.run_worker()


if __name__ == "__main__":
    asyncio.run(work() if sys.argv[1:] else main())
