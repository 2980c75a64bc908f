"""A program whose processes do an order in steps, and die by SIGKILL around a write of theirs.

For each line that it reads, of points, it forks: the child runs what is due, and dies at the first
of them that it comes to. Points are `before` or `after`, a colon, and what is written: the name of
a step or of a sleep, `paid`, the message that an order waits for, `put`, the same as it is sent, or
`end`, the settlement.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from job_processor import Context, JobProcessor
from tests.insides import store_of
from tests.processors import QUICK

PARCELS = 3
PAID = "paid"
STEPS = ("charge", "sleep", "ship", "ship:2", "ship:3", PAID, "sleep:2", "thank")
POINTS = [f"{when}:{what}" for when in ("before", "after") for what in (*STEPS, "put", "end")]


class Diary:
    """What was done, and what a handler was told of it, in a file that outlives the process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, *words: object) -> None:
        """Add a line."""
        with self._file.open("a") as lines:
            lines.write(" ".join(map(str, words)) + "\n")

    def read(self) -> list[list[str]]:
        """Return the lines so far, each in its words."""
        return [line.split() for line in self._file.read_text().splitlines()]

    def deaths(self) -> list[str]:
        """Return the points at which processes died, in their order."""
        return [words[1] for words in self.read() if words[0] == "died"]


def make(db_url: str, diary: Diary) -> JobProcessor:
    """Return the processor of each process."""
    processor = JobProcessor(db_url, concurrency=1, **QUICK)  # who dies takes no other along

    @processor.job(resumable=True)  # a death in its first step, too
    async def order(context: Context) -> list[str]:
        async def do() -> str:
            token = uuid.uuid4().hex
            diary.note("did", context.step_key, token)
            return token

        async def step(name: str) -> str:
            token = await context.step(name, do)
            diary.note("told", context.job.id, token)
            return token

        tokens = [await step("charge")]
        await context.sleep(seconds=0.002)
        tokens += [await step("ship") for _ in range(PARCELS)]
        tokens.append(await context.receive(f"paid:{context.job.id}"))
        await context.sleep(seconds=0.002)
        return [*tokens, await step("thank")]

    @processor.job(resumable=True)
    async def pay(order: str) -> None:
        await processor.send(f"paid:{order}", PAID)

    return processor


def die_at(points: set[str], store: Any, diary: Diary) -> None:
    """Let the writes of runs and of messages end this process at some points."""
    runs, messages = store.runs, store.messages

    def dying(call: Callable[..., Awaitable[Any]], name_of: Callable[..., str]) -> Any:
        async def write(*arguments: Any) -> Any:
            name = name_of(*arguments)
            die_if(f"before:{name}")
            answer = await call(*arguments)
            die_if(f"after:{name}")
            return answer

        return write

    def die_if(point: str) -> None:
        if point in points:
            diary.note("died", point)
            os.kill(os.getpid(), signal.SIGKILL)

    runs.save_step = dying(runs.save_step, lambda job, step: step.name.partition(f":{job.id}")[0])
    messages.put = dying(messages.put, lambda message: "put")
    runs.settle = dying(runs.settle, lambda settlements: "end")


async def work(db_url: str, diary: Diary, points: set[str]) -> None:
    """Run what is due, until nothing is."""
    async with make(db_url, diary) as processor:
        die_at(points, store_of(processor), diary)
        await processor.run_worker(burst=True)


def main() -> None:
    """Serve the lines; answer each with how its child ended."""
    db_url, diary = sys.argv[1], Diary(Path(sys.argv[2]))
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(work(db_url, diary, set(line.split())))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
