"""One program, two replicas: each serves the tags that its environment names.

    pip install job-processor
    # with uv: uv add job-processor
    python tags.py

The two replicas are processes of their own here. With Docker they are containers of one image: see
compose.yaml beside this file, which starts `job-processor worker` twice.
"""

import asyncio
import os
import sys

from job_processor import JobProcessor

tags = os.environ.get("WORKER_TAGS")  # "mail" or "video,image"; unset: all tags
processor = JobProcessor(
    os.environ.get("JOB_PROCESSOR_DB", "sqlite:///tags.db"),
    worker_tags=tags.split(",") if tags else None,
)


@processor.job(tag="mail")
async def send_mail(to: str) -> str:
    return f"replica {tags}"


@processor.job(tag="video")
async def encode_video(video: int) -> str:
    return f"replica {tags}"


@processor.job  # no tag: every worker takes it
async def clean_up() -> str:
    return f"replica {tags}"


async def replica() -> None:
    async with processor:
        await processor.run_worker(burst=True)


async def main() -> None:
    async with processor:
        jobs = await processor.schedule_jobs(
            [send_mail.request(to="ada@example.org"), encode_video.request(7), clean_up.request()]
        )
        replicas = [
            await asyncio.create_subprocess_exec(
                sys.executable, __file__, "replica", env={**os.environ, "WORKER_TAGS": tag}
            )
            for tag in ("mail", "video")
        ]
        for process in replicas:
            assert await process.wait() == 0
        for job in jobs:
            settled = await processor.wait_for_job(job.id, timeout=10)
            print(f"{job.name:<12} ran in {settled.output.result}")


if __name__ == "__main__":
    asyncio.run(replica() if sys.argv[1:] == ["replica"] else main())
