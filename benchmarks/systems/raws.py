"""What the limits without a library have in common."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Literal

from benchmarks.programs import PYTHON
from benchmarks.systems.base import System, Variant
from job_processor import JobProcessor

HUNDRED = 100
"""Jobs that a bare loop claims, and completes, at a time."""


class RawSystem(System):
    """The same statements in a plain loop: what the database itself can do from one process."""

    kind: ClassVar[Literal["ours", "raw", "peer"]] = "raw"
    module: ClassVar[str]
    variants = (Variant("one process", 1),)

    def worker(self, variant: Variant) -> list[str]:
        """Return the loop as a program."""
        return [PYTHON, "-m", f"benchmarks.systems.{self.module}", self.key]


def prepare(db: Any) -> None:
    """Let our own setup make the tables and indexes, and one job to copy its columns from."""

    async def set_up() -> None:
        async with JobProcessor(db) as processor:
            processor.job("noop")(lambda: None)
            await processor.schedule_job("noop", {"n": 0})

    asyncio.run(set_up())
