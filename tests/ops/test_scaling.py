"""How many workers are wanted: what counts, for whom, and between which bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from job_processor import InvalidArgumentError, JobDef, JobProcessor, Limit
from job_processor.ops.scaling import scope_of_query
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import run, simple, worker

JOBS = {
    "mail": JobDef(nothing, tag="light"),
    "video": JobDef(nothing, tag="gpu"),
    "plain": JobDef(nothing),
}


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs of two tags and one without, of which a worker runs four at a time."""
    return await processors.make(jobs=JOBS, concurrency=4)


async def test_a_fleet_at_zero(processor: JobProcessor) -> None:
    """What waits is told while no worker lives, and how many it takes by the processor's own."""
    await processor.schedule_jobs(["mail"] * 5)
    await processor.schedule_job("mail", None, timedelta(hours=1))
    found = await processor.get_scaling()
    assert (found.waiting, found.running, found.workers, found.capacity) == (5, 0, 0, 0)
    assert found.wanted == 2
    assert 0 <= found.oldest_seconds < 3600


async def test_nothing_to_do(processor: JobProcessor) -> None:
    """An empty database wants nobody, or as many as the lower bound says."""
    found = await processor.get_scaling()
    assert (found.waiting, found.oldest_seconds, found.wanted) == (0, 0.0, 0)
    assert (await processor.get_scaling(min_workers=2)).wanted == 2


async def test_for_how_long_the_first_has_waited(processor: JobProcessor) -> None:
    """Since the time for which the first of those was planned that are asked about."""
    now = (await processor.get_registrations()).now
    await processor.schedule_job("mail", None, now - timedelta(minutes=10))
    await processor.schedule_job("video", None, now - timedelta(minutes=5))
    assert 600 <= (await processor.get_scaling()).oldest_seconds < 900
    assert 300 <= (await processor.get_scaling("gpu")).oldest_seconds < 600


async def test_by_tag_and_by_name(processor: JobProcessor) -> None:
    """Jobs with one of the tags alone, of one of the names alone; what nobody has is nothing."""
    await processor.schedule_jobs(["mail"] * 3 + ["video"] * 2 + ["plain"])

    async def waiting(*asked: Any) -> int:
        return (await processor.get_scaling(*asked)).waiting

    assert await waiting() == 6
    assert await waiting("light") == 3
    assert await waiting(["light", "gpu"]) == 5
    assert await waiting(None, "plain") == 1
    assert await waiting("light", ["video", "mail"]) == 3
    assert await waiting("nobody") == 0


async def test_a_look_without_the_application(processor: JobProcessor, db_url: str) -> None:
    """Whoever has no definitions knows tags by what programs have listed in the database."""
    if db_url == "sqlite://":
        pytest.skip("a database in memory has one process")
    await processor.schedule_jobs(["mail"] * 3 + ["video"])
    async with processor.observer() as knowing:  # as the command line looks, with the application
        assert (await knowing.get_scaling()).wanted == (await processor.get_scaling()).wanted == 1
    await processor.schedule_jobs(["plain"] * 6)
    async with processor.observer() as knowing:
        assert (await knowing.get_scaling()).wanted == 3  # ten jobs, four each
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, collection_prefix=prefix) as observer:
        assert (await observer.get_scaling("light")).waiting == 3
        assert (await observer.get_scaling("gpu")).waiting == 1


async def test_parked_jobs_are_not_waiting(processors: Processors) -> None:
    """More workers would not help what waits for a slot, nor what stands before a full limit."""
    limits = {
        "keyed": JobDef(nothing, limit=Limit(1, key="k")),
        "narrow": JobDef(nothing, limit=2),
    }
    processor = await processors.make(jobs=limits)
    jobs = await processor.schedule_jobs([("keyed", {"k": "x"})] * 3)
    lanes = store_of(processor).lanes
    now = (await processor.get_registrations()).now
    await lanes.park([job.id for job in jobs[1:]], "slot", now)
    await processor.schedule_jobs(["narrow"] * 50)
    assert (await processor.get_scaling(name="keyed")).waiting == 1
    assert (await processor.get_scaling(name="narrow")).waiting == 2
    assert (await processor.get_scaling()).waiting == 3


async def test_paused_jobs_are_not_waiting(processor: JobProcessor) -> None:
    """Nobody would start them, by name or by tag, until they are resumed."""
    await processor.schedule_jobs(["mail"] * 3 + ["video"] * 2 + ["plain"])
    await processor.pause("mail")
    await processor.pause(tag="gpu")
    found = await processor.get_scaling()
    assert (found.waiting, found.wanted) == (1, 1)
    await processor.resume("mail")
    assert (await processor.get_scaling()).waiting == 4


async def test_who_serves_them(processor: JobProcessor) -> None:
    """Living workers that take such jobs make the capacity; running jobs keep theirs wanted."""
    store = store_of(processor)
    await store.workers.register(worker(tags=("light",), concurrency=10, timeout_s=3600.0))
    await store.workers.register(worker(tags=None, concurrency=5, timeout_s=3600.0))
    await store.workers.register(worker(tags=("light",), concurrency=10, timeout_s=-1.0))
    await run(store, *(simple("mail") for _ in range(3)))
    await processor.schedule_jobs(["mail"] * 20)
    light, gpu = await processor.get_scaling("light"), await processor.get_scaling("gpu")
    assert (light.workers, light.capacity, light.running, light.waiting) == (2, 15, 3, 20)
    assert light.wanted == 4  # 23 jobs, 7 each
    assert (gpu.workers, gpu.capacity, gpu.running, gpu.wanted) == (1, 5, 0, 0)


async def test_bounds(processor: JobProcessor) -> None:
    """What is wanted lies between them; a concurrency that is given is that of each worker."""
    await processor.schedule_jobs(["mail"] * 10)
    assert (await processor.get_scaling(concurrency=1)).wanted == 10
    assert (await processor.get_scaling(concurrency=1, max_workers=3)).wanted == 3
    assert (await processor.get_scaling(concurrency=100)).wanted == 1
    assert (await processor.get_scaling(concurrency=100, min_workers=2)).wanted == 2
    assert (await processor.get_scaling(max_workers=0)).wanted == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tag": ""}, "tag: ''"),
        ({"name": ["a", 3]}, "name: 3"),
        ({"concurrency": 0}, "concurrency: 0"),
        ({"min_workers": -1}, "min_workers: -1"),
        ({"min_workers": 3, "max_workers": 2}, "max_workers: 2"),
        ({"max_workers": 10**9}, "max_workers: 1000000000"),
    ],
)
async def test_what_is_not_allowed(
    processor: JobProcessor, options: dict[str, Any], told: str
) -> None:
    """The error names the argument and the value."""
    with pytest.raises(InvalidArgumentError, match=told):
        await processor.get_scaling(**options)


def test_the_query_of_an_address() -> None:
    """Tags and names may stand there several times; what is misspelt is refused."""
    asked = [("tag", "a"), ("tag", "b"), ("min", "1"), ("max", "5"), ("concurrency", "2")]
    assert scope_of_query(asked).arguments == {
        "tag": ["a", "b"],
        "name": None,
        "concurrency": 2,
        "min_workers": 1,
        "max_workers": 5,
    }
    for key, value in (("tags", "a"), ("min", "-1"), ("max", "x"), ("concurrency", "9" * 30)):
        with pytest.raises(InvalidArgumentError):
            scope_of_query([(key, value)])


async def test_a_worker_that_leaves_has_no_room(processor: JobProcessor) -> None:
    """One that was asked to stop claims nothing more."""
    leaving = worker(tags=None, concurrency=5, timeout_s=3600.0)
    await store_of(processor).workers.register(leaving)
    assert (await processor.get_scaling()).capacity == 5
    await processor.stop_worker(leaving.id)
    assert (await processor.get_scaling()).capacity == 0
