"""Run two crons for a few seconds, and look at what they left.

    pip install job-processor
    # with uv: uv add job-processor
    python crons.py

Everything is kept in crons.db, in the current folder.
"""

import asyncio
from datetime import UTC, datetime

from job_processor import AbortController, CronTask, JobProcessor
from job_processor.schedule import next_occurrence

processor = JobProcessor("sqlite:///crons.db", timezone="Europe/Paris")
stop = AbortController()
ticks: list[str] = []


@processor.cron("* * * * * *")  # six fields begin with seconds: this fires each second
async def tick(job: CronTask) -> None:
    ticks.append(f"{job.scheduled_for:%H:%M:%S}")
    print(f"tick {len(ticks)}, planned for {ticks[-1]}")
    if len(ticks) == 3:
        stop.abort("seen enough")  # an application would go on


@processor.cron("30 2 * * *", misfire="skip")  # at half past two in Paris, or not at all
async def nightly_report() -> None:
    print("this will not happen while you watch")


async def main() -> None:
    moment = datetime.now(UTC)
    for _ in range(3):
        moment = next_occurrence("30 2 * * *", "Europe/Paris", moment)
        print(f"nightly_report would run at {moment:%Y-%m-%d %H:%M} UTC")

    async with processor:
        await processor.run_worker(stop.signal)

        page = await processor.find_jobs(name="tick", status="finished", limit=3)
        print(f"kept: {len(page.jobs)} finished ticks")
        page = await processor.find_jobs(name="nightly_report", status="pending")
        print(f"in the queue: {page.jobs[0].name} for {page.jobs[0].scheduled_for:%H:%M} UTC")


if __name__ == "__main__":
    asyncio.run(main())
