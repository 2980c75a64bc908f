"""Synchronous code that schedules, follows and kills jobs: no `async` where they are made.

    pip install job-processor
    # with uv: uv add job-processor
    python sync_script.py

A worker would be another process: `job-processor worker sync_script:processor`. Here it is a step
of the script, so that one command shows all.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from job_processor import JobProcessor, JobTimeoutError
from job_processor.sync import JobClient

processor = JobProcessor("sqlite:///sync_script.db")


@processor.job
def resize(width: int) -> int:
    return width // 2


async def work() -> None:
    async with processor:
        await processor.run_worker(burst=True)


def main() -> None:
    with JobClient(processor) as client, ThreadPoolExecutor(4) as threads:
        widths = [100, 200, 300, 400]
        jobs = list(threads.map(lambda n: client.schedule_job("resize", {"width": n}), widths))
        later = client.schedule_job("resize", {"width": 800}, timedelta(hours=1))
        try:
            client.wait_for_job(jobs[0].id, timeout=0.1)
        except JobTimeoutError:
            print("nobody works yet")

        asyncio.run(work())
        print("widths:", [client.wait_for_job(job.id, timeout=10).result() for job in jobs])
        print("later:", client.kill_job(later.id).status)


if __name__ == "__main__":
    main()
