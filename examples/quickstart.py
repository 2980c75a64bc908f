"""Define three jobs, schedule them, run them, and read what became of them.

    pip install job-processor
    # with uv: uv add job-processor
    python quickstart.py

Everything is kept in quickstart.db, in the current folder.
"""

import asyncio

from job_processor import JobProcessor, Retry, SimpleJob

processor = JobProcessor("sqlite:///quickstart.db")


@processor.job  # the name is the function's, its parameters are the payload
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@processor.job
def count_words(text: str) -> int:  # a plain function runs in a thread
    return len(text.split())


@processor.job(retry=Retry(max_attempts=3, delay=0))
async def fetch(job: SimpleJob) -> str:
    if job.attempt < 3:
        raise ConnectionError("the other side is not ready")
    return f"answered at attempt {job.attempt}"


@processor.job
async def divide(number: int) -> float:
    return number / 0


async def main() -> None:
    async with processor:
        jobs = await processor.schedule_jobs(
            [
                greet.request(name="Ada"),
                count_words.request("the quick brown fox"),
                fetch.request(),
                divide.request(1),
            ]
        )
        await processor.run_worker(burst=True)  # run what is due, then return

        for scheduled in jobs:
            job = await processor.wait_for_job(scheduled.id)
            end = job.output.error.splitlines()[0] if job.output.error else job.output.result
            print(f"{job.name:<12} {job.status:<9} {end}")


if __name__ == "__main__":
    asyncio.run(main())
