"""What Huey on Redis and Huey on SQLite have in common."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from benchmarks import probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, argument, threads

POLL = "0.01"
"""Seconds between two looks at an empty queue: its fastest sensible poll; the default is 0.1 and
grows to 10. Redis blocks instead."""


def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


def work(ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    time.sleep(ms / 1000)
    probe.hit()


def tasks(huey: Any) -> dict[str, Any]:
    """Return the tasks, registered."""
    return {"noop": huey.task(name="noop")(noop), "work": huey.task(name="work")(work)}


class HueySystem(System):
    """Huey with threads."""

    module: ClassVar[str]
    variants = threads(1, 4, 10, 100)

    def worker(self, variant: Variant) -> list[str]:
        """Return Huey's consumer without periodic tasks, of which there are none."""
        command = [PYTHON, "-m", "huey.bin.huey_consumer", f"benchmarks.systems.{self.module}.huey"]
        command += ["--workers", argument(variant.options), "--worker-type", "thread"]
        command += ["--no-periodic", "--quiet"]
        return [*command, "--delay", POLL, "--max-delay", POLL, "--backoff", "1"]


class HueyProducer(Producer):
    """Calls the tasks."""

    tasks: ClassVar[dict[str, Any]]

    async def one(self, task: Task, value: int) -> None:
        """Enqueue one."""
        self.tasks[task](value)
