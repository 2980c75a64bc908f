"""A program whose processes start flows and run them, and die by SIGKILL around a write of theirs.

For each line that it reads, of `start` or `work` and of points, it forks: the child starts a flow
and a group, if that is asked for, runs what is due, and dies at the first of the points that it
comes to. A point is `before` or `after`, what is written, and which time this child writes it:
`before:settle:2`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from job_processor import Context, JobDef, JobProcessor
from job_processor.jobs import flows
from job_processor.store import Store
from tests.acceptance.dying import Diary
from tests.insides import store_of
from tests.processors import QUICK

TIMES = {
    "open": 1,
    "follow": 1,
    "insert": 5,
    "seal": 2,  # which ends a start
    "step": 2,
    "sleep": 1,
    "wait": 1,
    "put": 1,
    "wake": 1,
    "settle": 4,
    "release": 3,
    "complete": 2,
    "call": 1,
    "serve": 2,
}
"""What is written, and how often at least from the start of a flow to its end."""

POINTS = [
    f"{when}:{what}:{time}"
    for what, times in TIMES.items()
    for time in range(1, times + 1)
    for when in ("before", "after")
]

PARTS = 3
SIZE = 5 + PARTS
"""Jobs of a flow."""


class Handlers:
    """Handlers that note what ran, and what they were told of their steps."""

    processor: JobProcessor

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    def jobs(self) -> dict[str, JobDef]:
        """Return the definitions: a death is no reason to give one of them up."""
        named = {"first": self.first, "part": self.part, "last": self.last, "tell": self.tell}
        others = dict.fromkeys(("behind", "member", "then", "catch"), self.nothing)
        handlers = {**named, "bad": self.bad, **others}
        return {name: JobDef(handler, resumable=True) for name, handler in handlers.items()}

    async def first(self, context: Context) -> list[str]:
        """Do a step, sleep, do another one."""
        self._note(context)
        tokens = [await self._step(context)]
        await context.sleep(seconds=0.002)
        return [*tokens, await self._step(context)]

    async def part(self, context: Context) -> str:
        """Do a step."""
        self._note(context)
        return await self._step(context)

    async def last(self, context: Context) -> str:
        """Wait for what `tell` says."""
        self._note(context)
        return str(await context.receive(f"go:{context.job.flow}", timeout=600))

    async def tell(self, context: Context) -> None:
        """Say it."""
        self._note(context)
        await self.processor.send(f"go:{context.job.flow}", "well")

    async def bad(self, context: Context) -> None:
        """Fail."""
        self._note(context)
        raise ValueError("no")

    async def nothing(self, context: Context) -> None:
        """Do nothing."""
        self._note(context)

    def _note(self, context: Context) -> None:
        self._diary.note("ran", context.job.flow, context.job.name)

    async def _step(self, context: Context) -> str:
        async def do() -> str:
            return uuid.uuid4().hex

        token = await context.step("step", do)
        self._diary.note("told", context.job.id, token)
        return token


def make(db_url: str, diary: Diary) -> JobProcessor:
    """Return the processor of each process."""
    handlers = Handlers(diary)
    handlers.processor = JobProcessor(db_url, jobs=handlers.jobs(), concurrency=2, **QUICK)
    return handlers.processor


async def start(processor: JobProcessor, diary: Diary) -> None:
    """Start a flow that comes after a job outside of it, then fill a group that has a `then`."""
    outside = await processor.schedule_job("member")
    flow = processor.flow("import")
    first = flow.add("first", after=outside)
    bad = flow.add("bad", after=first)
    parts = flow.add_many("part", [None] * PARTS, after=first)
    flow.add("last", after=first, priority=9)  # which waits for what is told after all parts
    flow.add("tell", after=parts)
    flow.add("behind", after=bad)
    diary.note("flow", flow.id)
    await flow.start()
    async with processor.group(then="then", catch="catch") as group:
        await group.add("member")
        await group.add("member")


def die_at(points: set[str], store: Store, diary: Diary) -> None:
    """Let writes end this process at some points."""
    times: Counter[str] = Counter()

    def die_if(point: str) -> None:
        if point in points:
            diary.note("died", point)
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(what_of: Callable[..., str], call: Callable[..., Awaitable[Any]]) -> Any:
        async def write(*arguments: Any, **options: Any) -> Any:
            what = what_of(*arguments)
            times[what] += 1
            time = times[what]
            die_if(f"before:{what}:{time}")
            answer = await call(*arguments, **options)
            die_if(f"after:{what}:{time}")
            return answer

        return write

    def written(job: Any, step: Any) -> str:
        del job
        name = step.name.partition(":")[0]
        return {"sleep": "sleep", "go": "wait"}.get(name, "step")

    for what, (desk, verb) in {
        "open": (store.groups, "open"),
        "follow": (store.waits, "_follow"),
        "insert": (store.intake, "_insert"),
        "seal": (store.groups, "_seal"),
        "put": (store.messages, "_put"),
        "wake": (store.messages, "_wake"),
        "settle": (store.runs, "_settle"),
        "release": (store.waits, "_release"),
        "complete": (store.groups, "_complete"),
        "call": (store.groups.intake, "_insert"),
        "serve": (store.groups, "note_served"),
    }.items():
        setattr(desk, verb, dying(lambda *_, what=what: what, getattr(desk, verb)))
    store.runs.save_step = dying(written, store.runs.save_step)  # type: ignore[method-assign]


async def work(db_url: str, diary: Diary, points: set[str], *, starts: bool) -> None:
    """Start a flow or not, then run what is due, until nothing is."""
    async with make(db_url, diary) as processor:
        die_at(points, store_of(processor), diary)
        if starts:
            await start(processor, diary)
        await processor.run_worker(burst=True)


def main(db_url: str, file: str) -> None:
    """Serve the lines; answer each with how its child ended."""
    # So that a small flow has a group, and many writes.
    flows.GROUPED, flows.SCHEDULE_BATCH = 2, 2  # type: ignore[attr-defined]
    for line in sys.stdin:
        child = os.fork()
        if not child:
            words = set(line.split())
            asyncio.run(work(db_url, Diary(Path(file)), words, starts="start" in words))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
