"""Random interleavings of both kinds of worker: each job runs once, none is stuck or refused."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, SimpleJob
from tests.acceptance.node.both import Both
from tests.acceptance.node.node_process import NodeWorker
from tests.processors import eventually

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(900)]

NAMES = ("shared", "for_node", "for_python")
LONGEST_MS = 20
BURST = 20
BURSTS = 0.05
"""The share of them."""


class Interleaving:
    """Jobs of three names from producers of both kinds, taken by two workers of each kind."""

    def __init__(self, both: Both, seed: int, *, apart: bool) -> None:
        self.both = both
        self.apart = apart  # each Node worker has a process of its own
        self.random = random.Random(seed)  # an order, no secret
        self.ran: Counter[str] = Counter()
        self.pythons: list[JobProcessor] = []
        self.nodes: list[NodeWorker] = []

    async def work(self, job: SimpleJob) -> str:
        """Work for a moment, and count."""
        self.ran[str(job.id)] += 1
        await asyncio.sleep((job.payload or {})["ms"] / 1000)
        return "worked"

    async def open(self) -> None:
        """Start two workers of each kind, in a random order."""
        starts: list[Callable[[], Awaitable[None]]] = [self.add_node, self.add_python] * 2
        self.random.shuffle(starts)
        for start in starts:
            await start()

    async def add_node(self) -> None:
        """Start a Node worker, which rearranges the database as each start does."""
        options = {name: {"does": "work", "tag": self.tag(name)} for name in NAMES[:2]}
        self.nodes.append(
            await self.both.node(
                process=self.both.process() if self.apart else None,
                idleMs=50,
                jobs={**options, "for_python": {"does": "fail", "tag": "python"}},
            )
        )

    async def add_python(self) -> None:
        """Start a worker of ours."""
        jobs = {name: JobDef(self.work, tag=self.tag(name)) for name in NAMES}
        self.pythons.append(
            await self.both.python(jobs=jobs, worker_tags=["python"], concurrency=4)
        )

    @staticmethod
    def tag(name: str) -> str | None:
        """Return the tag of a name; none of the shared one."""
        return {"for_node": "node", "for_python": "python"}.get(name)

    async def produce(self, count: int) -> None:
        """Schedule so many jobs, each by a producer of a random kind.

        Now and then many at once: else the quicker kind of worker takes each as soon as it is
        there, and the other finds none.
        """
        left = count
        while left:
            name = self.random.choice(NAMES)
            payload = {"ms": self.random.randrange(LONGEST_MS)}
            many = min(left, BURST if self.random.random() < BURSTS else 1)
            left -= many
            if self.random.random() < 0.5:
                node = self.random.choice(self.nodes)
                await node.do("add", name=name, payload=payload, count=many)
            else:
                python = self.random.choice(self.pythons)
                await python.schedule_jobs([(name, payload)] * many)

    async def settled(self, count: int) -> list[dict[str, Any]]:
        """Return all jobs once so many are settled, or when no more come."""
        jobs = self.both.collection("jobs")
        waiting = {"status": {"$in": ["pending", "running", "paused"]}}
        left = await jobs.count_documents(waiting)
        while left:  # as long as there are fewer and fewer, it goes on

            async def fewer(before: int = left) -> bool:
                return bool(await jobs.count_documents(waiting) < before)

            await eventually(fewer, f"one of {left} jobs to end")
            left = await jobs.count_documents(waiting)
        found: list[dict[str, Any]] = await jobs.find({"type": "simple"}).to_list()
        assert len(found) == count
        return found


@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 40), *(pytest.param(seed, 500, marks=pytest.mark.soak) for seed in (2, 3, 4))],
)
async def test_each_job_runs_once_in_one_of_both(
    both: Both, seed: int, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever scheduled it; a worker of either kind that comes in the middle changes nothing."""
    it = Interleaving(both, seed, apart=count >= 500)
    await it.open()
    producing = [asyncio.create_task(it.produce(count // 2))]
    await it.produce(count // 4)
    await it.random.choice([it.add_node, it.add_python])()
    producing.append(asyncio.create_task(it.produce(count - count // 2 - count // 4)))
    await asyncio.gather(*producing)
    documents = await it.settled(count)

    assert Counter(each["status"] for each in documents) == {"finished": count}
    ran = it.ran + Counter(line["job"] for line in both.lines("start"))
    assert ran == Counter(str(each["_id"]) for each in documents)
    kinds: dict[str, set[bool]] = defaultdict(set)
    for each in documents:
        kinds[each["name"]].add(str(each["_id"]) in it.ran)
    assert kinds["for_python"] == {True}
    assert kinds["for_node"] == {False}
    if count >= 500:  # of a few, one kind may have been quick enough to take all
        assert kinds["shared"] == {True, False}
    assert "validation" not in both.errors().lower()
    assert not [record for record in caplog.records if "validator" in record.getMessage()]
