"""Jobs that follow others, and groups, while workers are killed each second."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterable
from itertools import chain
from typing import Any

import pytest
from bson import ObjectId

from job_processor import Job, JobProcessor, JobStatus
from job_processor.handlers.groups import Group
from job_processor.models import FAILED, SimpleJob
from tests.acceptance.workers import Site
from tests.insides import store_of
from tests.processors import WAIT

NAMES = ("resumable", "retried")


class Family:
    """Schedules jobs that follow each other, and what follows groups."""

    def __init__(self, processor: JobProcessor) -> None:
        self._processor = processor
        self.jobs: list[SimpleJob] = []
        self.groups: list[Group] = []

    async def add(self, n: int, **options: Any) -> SimpleJob:
        """Schedule a job that survives crashes: half of them are resumed, the others retried."""
        job = await self._processor.schedule_job(NAMES[n % 2], {"seconds": 0.2}, **options)
        self.jobs.append(job)
        return job

    async def follow(self, n: int) -> None:
        """Schedule a diamond with a chain behind it, one that fails and what comes after that."""
        top = await self.add(n)
        last = await self.add(n, after=[await self.add(n + 1, after=top) for _ in range(3)])
        for each in range(3):
            last = await self.add(n + each, after=last)
        bad = await self._processor.schedule_job("plain", {"fails": True}, after=top)
        self.jobs.append(bad)
        await self.add(n, after=await self.add(n, after=bad))
        await self.add(n, after=[bad, last], on_parent_failure="run")

    async def gather(self, n: int) -> None:
        """Schedule a group, where every third has a member that fails, and a job after it."""
        async with self._processor.group(then="then", catch="catch") as group:
            first = await group.add("resumable", {"seconds": 0.2})
            others = [await group.add(NAMES[each % 2], {"seconds": 0.2}) for each in range(3)]
            others.append(await group.add("retried", {"seconds": 0.2}, after=first))
            if n % 3 == 0:
                others.append(await group.add("plain", {"fails": True}))
            self.jobs += [first, *others]
        self.groups.append(group)
        await self.add(n, after=group, on_parent_failure="run")


async def kill_each_second(site: Site, done: Awaitable[None], deaths: int) -> None:
    """Kill a worker each second, and start another one, until it is done, or so many have died."""
    waiting = asyncio.ensure_future(done)
    for _ in range(deaths):
        await asyncio.wait([waiting], timeout=1)
        if waiting.done():
            break
        random.choice([each for each in site.workers if each.ended_at is None]).kill()
        site.start_worker()
    await waiting


async def callbacks(processor: JobProcessor) -> list[Job]:
    """Return the jobs that follow groups as their `then` or `catch`."""
    found: list[Job] = []
    for name in ("then", "catch"):
        after = None
        while True:
            page = await processor.find_jobs(name, limit=1000, after=after)
            found += page.jobs
            if (after := page.next) is None:
                break
    return found


async def all_have_ended(site: Site, family: Family, adding: Iterable[Awaitable[None]]) -> None:
    """Add to a family; return once all jobs and groups have ended, and what follows those has."""
    for each in adding:
        await each
    await site.settled_at_last(family.jobs)
    async with asyncio.timeout(4 * WAIT):
        while True:
            called = await callbacks(site.processor)
            if len(called) >= len(family.groups) and all(job.settled for job in called):
                return
            await asyncio.sleep(0.2)  # other processes end them


def groups_of(job: Job) -> list[ObjectId]:
    """Return the groups that a job runs after."""
    return [ObjectId(tag[2:]) for tag in job.after if tag.startswith("g:")]


class Runs:
    """The runs of all jobs, as the handlers wrote them down."""

    def __init__(self, site: Site) -> None:
        self._of = site.spans()
        self._deaths = {each.pid: each.ended_at for each in site.workers}

    def assert_after(self, job: Job, before: Iterable[Job]) -> None:
        """The first run of a job began after the last one of all of these."""
        for run in self._of.get(str(job.id), [])[:1]:
            for each in before:
                for ended in self._of.get(str(each.id), []):
                    end = ended.end if ended.end is not None else self._deaths[ended.pid]
                    assert end is not None
                    assert run.start >= end, f"{job} began before {each} had ended"

    @property
    def cut(self) -> int:
        """How many ended with their process."""
        return sum(run.end is None for run in chain(*self._of.values()))

    def assert_each_is_the_first_to_end(self) -> None:
        """A job runs again only where the process was killed that ran it before."""
        for job, runs in self._of.items():
            again = [run for run in runs[:-1] if self._deaths[run.pid] is None]
            assert again == [], f"{job} ran again, though nobody died: {runs}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("families", "deaths"), [(6, 4), pytest.param(400, 600, marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("of", ["after", "groups"])
async def test_sigkill_each_second_keeps_what_follows_in_order(
    site: Site, db_url: str, families: int, deaths: int, of: str
) -> None:
    """Nothing begins before what it follows has ended, is run twice or stands; groups end once."""
    count = max(families // 10, 3) if db_url.startswith("mongo") else families  # it reads all
    for _ in range(4):
        site.start_worker()
    family = Family(site.processor)
    add = family.follow if of == "after" else family.gather
    await kill_each_second(site, all_have_ended(site, family, map(add, range(count))), deaths)
    called = await callbacks(site.processor)
    jobs = {job.id: job for job in [*await site.settled(family.jobs), *called]}
    assert Counter(job.callback_of for job in called) == {g.id: 1 for g in family.groups}
    for job in called:
        of_group = [each for each in jobs.values() if each.group == job.callback_of]
        failed = any(each.status in FAILED for each in of_group)
        assert (job.name == "catch") == failed, job
    assert await store_of(site.processor).groups.unfinished(None, 1) == []
    runs = Runs(site)
    assert families < 10 or runs.cut > 0  # else nothing was tried
    runs.assert_each_is_the_first_to_end()
    for job in jobs.values():
        parents = [jobs[each] for each in job.parents]
        failed = any(parent.status in FAILED for parent in parents)
        skipped = failed and job.on_parent_failure != "run"
        assert (job.status is JobStatus.SKIPPED) == skipped, job
        of_groups = {job.callback_of, *groups_of(job)} - {None}
        members = [each for each in jobs.values() if each.group in of_groups]
        runs.assert_after(job, [*parents, *members])
    site.assert_no_overlap()
    site.assert_hooked_at_most_once()
