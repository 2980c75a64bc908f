"""A worker with many more names than one claim asks for, on both stores."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from job_processor import JobProcessor, JobStatus
from job_processor.settings import CLAIM_NAMES
from tests.processors import Processors

NAMES = [f"work_{number}" for number in range(300)]
TAGS = 10


def define(processor: JobProcessor, ran: Counter[str]) -> None:
    """Define all names, each with one of the tags; a handler counts its job."""

    async def work(job: object) -> None:
        ran[getattr(job, "name", "")] += 1

    for number, name in enumerate(NAMES):
        processor.job(name, tag=f"tag_{number % TAGS}")(work)


async def in_disorder(processor: JobProcessor, names: Iterable[str]) -> None:
    """Schedule one job of each name."""
    shuffled = list(names)
    random.Random(5).shuffle(shuffled)
    await processor.schedule_jobs([(name, None) for name in shuffled])


@pytest.mark.slow
async def test_every_name_has_its_turn(processors: Processors) -> None:
    """Claims go round the groups of names, and end only when no group has anything."""
    assert len(NAMES) > 5 * CLAIM_NAMES
    processor, ran = await processors.make(concurrency=40), Counter[str]()
    define(processor, ran)
    await in_disorder(processor, NAMES)
    await processor.run_worker(burst=True)
    assert ran == Counter(NAMES)


async def test_one_tag_of_ten(processors: Processors) -> None:
    """A worker that serves one tag takes its names, however many jobs of others wait before."""
    processor, ran = await processors.make(worker_tags=["tag_3"]), Counter[str]()
    define(processor, ran)
    await in_disorder(processor, NAMES)
    await processor.run_worker(burst=True)
    assert ran == Counter(NAMES[3::TAGS])
    for name in NAMES[:3]:
        (job,) = (await processor.find_jobs(name=name)).jobs
        assert job.status is JobStatus.PENDING
