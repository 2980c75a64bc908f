"""What our two stores have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, concurrencies


class OurSystem(System):
    """Our worker, started from the command line as users do."""

    kind: ClassVar[Literal["ours", "raw", "peer"]] = "ours"
    packages = ("job-processor", "pymongo")
    bulk = "schedule_jobs"
    variants = concurrencies(10, 100, 500, loops=("asyncio", "uvloop"))

    def worker(self, variant: Variant) -> list[str]:
        """Return `job-processor worker`."""
        app = "benchmarks.systems.ours_app:make"
        loop = variant.options["BENCH_LOOP"]
        command = [PYTHON, "-m", "job_processor", "worker", app]
        return [*command, "--loop", loop, "--log-level", "error"]


class OurProducer(Producer):
    """Schedules jobs."""

    async def open(self) -> None:
        """Set the store up."""
        from benchmarks.systems.ours_app import make

        self._processor = make()
        await self._processor.setup()

    async def one(self, task: Task, value: int) -> None:
        """Schedule one."""
        await self._processor.schedule_job(task, {"n": value})

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Schedule many in one write."""
        await self._processor.schedule_jobs([(task, {"n": value}) for value in values])

    async def named(self, names: Sequence[str]) -> None:
        """Schedule one of each name."""
        await self._processor.schedule_jobs([(name, {"n": 0}) for name in names])

    async def fan_in(self, count: int) -> None:
        """Schedule a group with what follows."""
        payloads = ({"n": value} for value in range(count))
        await self._processor.schedule_group("noop", payloads, then="noop")

    async def chains(self, count: int, length: int) -> None:
        """Start one flow a chain."""
        jobs = [("noop", {"n": value}) for value in range(length)]
        for _ in range(count):
            await self._processor.chain(*jobs).start()

    async def close(self) -> None:
        """Close the store."""
        await self._processor.close()
