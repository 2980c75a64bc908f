"""Many members, one job that follows: `python -m benchmarks.fan_in [--db ADDRESS] [--members N]`.

The same jobs, which do nothing, once as they are and once as members of a group, by one worker in
this process, in turns. `questions` is how often a batch of settlements asks whether the group has
ended, for each member.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

from bson import ObjectId

from job_processor import JobDef, JobProcessor
from job_processor.parts import parts_of

TURNS = 3


async def nothing() -> None:
    """Do nothing."""


class Counted:
    """Counts the questions to the index of open members."""

    def __init__(self, processor: JobProcessor) -> None:
        groups: Any = parts_of(processor).store.groups
        self._ask: Callable[[Collection[ObjectId]], Awaitable[Any]] = groups.open_of
        self.questions = 0
        groups.open_of = self._counted

    async def _counted(self, group_ids: Collection[ObjectId]) -> Any:
        self.questions += 1
        return await self._ask(group_ids)


async def measure(db: str, members: int, *, grouped: bool) -> tuple[float, float, int]:
    """Return the seconds to store the jobs and to run them all, and the questions asked."""
    prefix = f"fan_in_{secrets.token_hex(4)}"
    jobs = {"part": JobDef(nothing), "then": JobDef(nothing)}
    async with JobProcessor(db, jobs=jobs, collection_prefix=prefix, concurrency=100) as processor:
        counted = Counted(processor)
        payloads: Iterator[dict[str, Any]] = ({} for _ in range(members))
        group = None
        began = time.perf_counter()
        if grouped:
            group = await processor.schedule_group("part", payloads, then="then")
        else:
            await processor.schedule_jobs((("part", each) for each in payloads), return_jobs=False)
        stored = time.perf_counter()
        await processor.run_worker(burst=True)
        ran = time.perf_counter()
        if group is not None:
            info = await group.wait(timeout=60)
            assert info.counts.finished == members  # or the times mean nothing
            assert len((await processor.find_jobs("then")).jobs) == 1  # the same
        return stored - began, ran - stored, counted.questions


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--db", help="a MongoDB, or a file; without, a new SQLite file")
    parser.add_argument("--members", type=int, default=10_000)
    options = parser.parse_args()
    print("| jobs | stored | run | questions a member |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or f"sqlite:///{folder}/jobs.db"
        for _ in range(TURNS):
            for grouped in (False, True):
                call = measure(db, options.members, grouped=grouped)
                stored, ran, questions = asyncio.run(call)
                kind = "members, then one" if grouped else "plain"
                rate = questions / options.members
                print(f"| {options.members:,} {kind} | {stored:.2f} s | {ran:.2f} s | {rate:.4f} |")


if __name__ == "__main__":
    main()
