"""A shop on SQLite: orders and jobs in one transaction, payloads with a class, one job for a key.

    pip install "job-processor[typed]"
    # with uv: uv add "job-processor[typed]"
    python examples/checkout.py

An order and the job that confirms it are committed together, or neither is. However often the stock
is asked to be counted again, it is counted once, for the last of those who asked.
"""

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from job_processor import AbortController, Context, InvalidPayloadError, JobProcessor

FILE = "shop.db"
processor = JobProcessor(f"sqlite:///{FILE}")


@dataclass
class Order:
    number: int
    customer: str
    amount: float


@processor.job(retry=3)
async def confirm(payload: Order, context: Context) -> str:
    context.log(f"attempt {context.attempt}")
    return f"order {payload.number}: thank you, {payload.customer}"


@processor.job
async def count_stock(after: int) -> str:
    return f"counted after order {after}"


async def place(shop: sqlite3.Connection, order: Order) -> None:
    with shop:  # one transaction: committed at its end, rolled back when something is raised
        shop.execute("INSERT INTO orders VALUES (?, ?)", (order.number, order.amount))
        await confirm.schedule(order, session=shop)
        if order.amount <= 0:
            raise ValueError(f"order {order.number} costs nothing")
    soon = count_stock.options(
        scheduled_for=timedelta(seconds=0.5), unique_key="stock", on_conflict="replace"
    )
    await soon.schedule(after=order.number)


async def main() -> None:
    async with processor:
        shop = sqlite3.connect(FILE)
        shop.execute("CREATE TABLE IF NOT EXISTS orders (number, amount)")
        for number, amount in enumerate((30.0, 0.0, 12.5), start=1):
            try:
                await place(shop, Order(number, "Ada", amount))
            except ValueError as error:
                print(f"rolled back: {error}")
        shop.close()

        try:
            await processor.schedule_job("confirm", {"number": "four", "customer": "Ada"})
        except InvalidPayloadError as error:
            print(f"refused: {error.allowed}")

        (count,) = (await processor.find_jobs(name="count_stock")).jobs
        stop = AbortController()
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        print((await processor.wait_for_job(count.id, timeout=20)).result())
        for job in reversed((await processor.find_jobs(name="confirm")).jobs):
            print(job.result())
        stop.abort()
        await worker


if __name__ == "__main__":
    asyncio.run(main())
