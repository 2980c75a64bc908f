"""A program whose processes attach and end jobs, and die by SIGKILL around a write of theirs.

For each line that it reads, of points, it forks: the child schedules a few jobs that come after
others, runs what is due, and dies at the first of the points that it comes to. Points are `before`
or `after`, a colon, and a verb of the store that writes for a job that comes after another.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from job_processor import JobProcessor
from tests.acceptance.dying import Diary
from tests.insides import store_of
from tests.processors import QUICK

WRITES = ("waits.follow", "intake.insert", "runs.settle", "waits.release")
POINTS = [f"{when}:{write}" for when in ("before", "after") for write in WRITES]


def make(db_url: str, diary: Diary) -> JobProcessor:
    """Return the processor of each process."""
    processor = JobProcessor(db_url, **QUICK)

    @processor.job(resumable=True)
    async def link(number: int, fails: bool = False) -> None:
        diary.note("ran", number)
        if fails:
            raise ValueError("no")

    return processor


async def family(processor: JobProcessor, number: int) -> None:
    """Schedule a diamond, one whose parent fails, and one that runs all the same."""
    schedule = processor.schedule_job
    top = await schedule("link", {"number": number})
    sides = [await schedule("link", {"number": number}, after=top) for _ in range(2)]
    await schedule("link", {"number": number}, after=sides)
    bad = await schedule("link", {"number": number, "fails": True}, after=top)
    skipped = await schedule("link", {"number": number}, after=bad)
    await schedule("link", {"number": number}, after=skipped)
    await schedule("link", {"number": number}, after=[bad, top], on_parent_failure="run")


def die_at(points: set[str], store: Any, diary: Diary) -> None:
    """Let writes end this process at some points."""

    def die_if(point: str) -> None:
        if point in points:
            diary.note("died", point)
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(name: str, call: Callable[..., Awaitable[Any]]) -> Any:
        async def write(*arguments: Any) -> Any:
            die_if(f"before:{name}")
            answer = await call(*arguments)
            die_if(f"after:{name}")
            return answer

        return write

    for name in WRITES:
        desk, verb = name.split(".")
        on = getattr(store, desk)
        # The private part: what the frame of an end does after it is a write of its own.
        setattr(on, f"_{verb}", dying(name, getattr(on, f"_{verb}")))
    store.intake._insert_here = lambda _: None  # a lone job goes that way, too


async def work(db_url: str, diary: Diary, points: set[str], number: int) -> None:
    """Do one round."""
    processor = make(db_url, diary)
    async with processor:
        die_at(points, store_of(processor), diary)
        await family(processor, number)
        await processor.run_worker(burst=True)


def main(db_url: str, file: str) -> None:
    """Fork for each line; print how the child ended."""
    diary = Diary(Path(file))
    for number, line in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            asyncio.run(work(db_url, diary, set(line.split()), number))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
