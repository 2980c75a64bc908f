"""A service that fails, asks for patience and then answers; and a job that is retried.

pip install job-processor
# with uv: uv add job-processor
python retries.py
"""

import asyncio

from job_processor import AbortController, JobProcessor, Retry, RetryLater, SimpleJob, Snooze

processor = JobProcessor("sqlite://")  # in memory
shop = {"open": False}
card = {"accepted": False}
answers = iter([ConnectionError("connection refused"), 429, 200])


@processor.job(retry=Retry(max_attempts=5, delay=0.1, give_up_on=PermissionError))
async def order(job: SimpleJob) -> str:
    if not shop["open"]:
        shop["open"] = True
        raise Snooze(delay=0.2)  # too early: this is no attempt
    answer = next(answers)
    if answer == 429:
        raise RetryLater("too many requests", delay=0.3)  # the other side says when
    if answer != 200:
        raise answer  # after a pause of 0.05 to 0.1 s
    return f"answered at attempt {job.attempt}"


@processor.job(retry=Retry(max_attempts=5, delay=0.1, give_up_on=PermissionError))
async def pay(amount: int) -> str:
    if not card["accepted"]:
        raise PermissionError("the card was refused")  # trying again would not help
    return f"paid {amount}"


async def main() -> None:
    stop = AbortController()
    async with processor:
        jobs = [
            await order.schedule(),
            await pay.schedule(amount=7),
        ]
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        ordered, refused = [await processor.wait_for_job(job.id) for job in jobs]
        print(f"order: {ordered.output.result}")
        for attempt in ordered.attempts:
            print(f"  attempt {attempt.number} failed: {attempt.error.splitlines()[0]}")
        print(f"pay: {refused.status} at attempt {refused.attempt}")

        card["accepted"] = True  # the customer has called
        await processor.retry_job(refused.id)
        paid = await processor.wait_for_job(refused.id)
        print(f"pay, retried: {paid.output.result}")
        stop.abort()
        await worker


if __name__ == "__main__":
    asyncio.run(main())
