"""What every system tells the harness, and what a Python producer does."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from benchmarks.programs import OVERLAYS, PYTHON

Task = Literal["noop", "work"]
"""`noop(n)` does nothing but count itself; `work(ms)` sleeps for so many milliseconds."""


REAL_MONGODB = bool(os.environ.get("BENCH_MONGODB"))
"""Whether the environment names a MongoDB; else a slow server stands in for one, whose rates say
little about it."""

MONGODB_SHARE = 1.0 if REAL_MONGODB else 0.1


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration of a worker; the harness takes the fastest."""

    name: str
    slots: int
    """Jobs that it runs at a time."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Environment of the worker."""


class System(ABC):
    """One way to run background jobs."""

    key: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[Literal["ours", "raw", "peer"]] = "peer"
    rival: ClassVar[str] = "sqlite"
    """Which of ours it is compared with."""
    server: ClassVar[str | None] = None
    packages: ClassVar[Sequence[str]] = ()
    """Distributions whose versions belong to a figure."""
    overlay: ClassVar[str] = ""
    """Folder of `overlays` in the venv with packages that go before those of the venv: some peers
    cannot agree on one version of the redis client."""
    variants: ClassVar[Sequence[Variant]]
    """The first is the plain one."""
    bulk: ClassVar[str] = ""
    """How it enqueues many at once; empty: it has no such call."""
    share: ClassVar[float] = 1.0
    """Part of the jobs that a slow one gets, so that its turn ends; its rate needs no more."""

    @abstractmethod
    def worker(self, variant: Variant) -> list[str]:
        """Return the command of one worker process."""

    def producer(self) -> list[str]:
        """Return the command of the process that enqueues."""
        return [PYTHON, "-m", "benchmarks.producing", self.key]

    def missing(self) -> str | None:
        """Return why it cannot be measured here."""
        if self.overlay and not (OVERLAYS / self.overlay).exists():
            return f"{self.overlay} is not installed"
        return None

    def settled(self, environment: Mapping[str, str]) -> bool | None:
        """Tell whether its store says that nothing is left to do; None: it cannot be asked."""
        return None

    def locked(self, environment: Mapping[str, str]) -> bool:
        """Tell whether somebody holds its store, so that nobody else can write."""
        return False


class Producer(ABC):
    """Enqueues in a process of its own, as an application would."""

    async def open(self) -> None:
        """Connect; create what the store needs."""

    @abstractmethod
    async def one(self, task: Task, value: int) -> None:
        """Enqueue one job, and return when the store has it."""

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Enqueue many in the fastest way that the system has."""
        for value in values:
            await self.one(task, value)

    async def named(self, names: Sequence[str]) -> None:
        """Enqueue a job of each of these names (ours only)."""
        raise NotImplementedError

    async def fan_in(self, count: int) -> None:
        """Enqueue so many jobs, and one that follows all of them (see `benchmarks.graphs`)."""
        raise NotImplementedError

    async def chains(self, count: int, length: int) -> None:
        """Enqueue chains of jobs, each of which follows the one before (the same)."""
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect."""


def concurrencies(*numbers: int, loops: Sequence[str] = ("uvloop",)) -> tuple[Variant, ...]:
    """Return variants that run so many jobs at a time, on each kind of event loop."""
    return tuple(
        Variant(
            f"{number} at a time" + (f", {loop}" if len(loops) > 1 else ""),
            number,
            {"BENCH_CONCURRENCY": str(number), "BENCH_LOOP": loop},
        )
        for loop in loops
        for number in numbers
    )


def threads(*numbers: int) -> tuple[Variant, ...]:
    """Return variants with so many threads."""
    return tuple(
        Variant(f"{number} thread{'s' * (number > 1)}", number, {"BENCH_CONCURRENCY": str(number)})
        for number in numbers
    )


def argument(options: Mapping[str, Any], name: str = "BENCH_CONCURRENCY") -> str:
    """Return an option of a variant for a command line."""
    return str(options[name])
