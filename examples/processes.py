"""Handlers in processes of their own: they compute side by side, and take nothing down with them.

    pip install "job-processor[processes]"
    # with uv: uv add "job-processor[processes]"
    python examples/processes.py

A handler that computes runs in a process, which tells its progress. One that never ends is killed,
and one that takes its process down errors its own job only.
"""

import asyncio
import os
import time
from datetime import timedelta

from job_processor import Context, JobProcessor

processor = JobProcessor("sqlite:///processes.db", kill_grace=1)


@processor.job(executor="process")
def count_primes(context: Context, limit: int, worker: int) -> int:
    found = 0
    for number in range(2, limit):
        found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        context.progress(number / limit, f"{found} so far")
    context.log(f"process {os.getpid()}, and not {worker}")
    return found


@processor.job(executor="process", max_runtime=timedelta(seconds=0.6))
def for_ever() -> None:
    while True:
        time.time()


@processor.job(executor="process")
def crash() -> None:
    os.abort()


async def main() -> None:
    async with processor:
        primes = count_primes.request(limit=20_000, worker=os.getpid())
        made = await processor.schedule_jobs([primes, for_ever.request(), crash.request(), primes])
        await processor.run_worker(burst=True)
        for each in made:
            job = await processor.wait_for_job(each.id)
            told = job.result() if job.status == "finished" else job.output.error.splitlines()[0]
            print(f"{job.name}: {job.status}, {told}")
        first = await processor.get_job(made[0].id)
        assert first.progress.message == f"{first.result()} so far"
        assert str(os.getpid()) in first.log[0].text


if __name__ == "__main__":
    asyncio.run(main())
