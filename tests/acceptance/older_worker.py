"""A worker that knows no lanes: run with an older release in front of `sys.path`.

Prints a line once it works, and one for each job that it runs. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from job_processor import AbortController, JobDef, JobProcessor


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def handle(job: Any, signal: Any) -> None:
    """Tell which job this is."""
    del signal
    say(f"ran {job.name} {job.id}")


async def main(url: str) -> None:
    """Work until standard input ends."""
    controller = AbortController()
    processor = JobProcessor(
        url,
        jobs={name: JobDef(handle) for name in ("sync", "plain")},
        poll_interval=0.2,
        heartbeat_interval=0.2,
        worker_timeout=1.0,
        kill_grace=0.2,
    )
    async with processor:
        say("works")
        working = asyncio.create_task(processor.run_worker(controller.signal))
        await asyncio.to_thread(sys.stdin.read)
        controller.abort("told")
        await working


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
