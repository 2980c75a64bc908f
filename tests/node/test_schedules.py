"""Schedules on a database that Node has set up: what they make are plain jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import JobDef, JobProcessor, SharedDatabaseError
from tests.crons.clocks import SetClock
from tests.definitions import nothing
from tests.node.databases import install_node_validator
from tests.processors import Processors
from tests.samples import NOW

pytestmark = pytest.mark.mongo


@pytest.fixture
async def shared(mongo_db_url: str) -> AsyncIterator[tuple[JobProcessor, SetClock]]:
    """A processor on a database with Node's validator, and its clock."""
    clock = SetClock(NOW)
    async with Processors(mongo_db_url) as processors:
        await (await processors.make()).close()
        await install_node_validator(mongo_db_url)
        yield await processors.make(clock=clock, jobs={"digest": JobDef(nothing)}), clock


async def test_a_schedule_makes_jobs_that_node_takes(
    shared: tuple[JobProcessor, SetClock], mongo_db_url: str
) -> None:
    """With no field beyond those of the Node package, which its validator would refuse."""
    processor, clock = shared
    await processor.put_schedule("digest:1", job="digest", every=60, limit=5)
    clock.moment += timedelta(seconds=61)
    await processor.run_worker(burst=True)
    (job,) = (await processor.find_jobs(name="digest")).jobs
    assert job.status == "finished"
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url) as client:
        document = await client.get_default_database()["job_processor.jobs"].find_one({})
        assert document is not None
        assert not document.keys() & {"schedule", "priority", "expires_at", "lane"}


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ({"misfire": "skip"}, "misfire"),
        ({"expires_after": 5}, "expires_after"),
        ({"priority": 1}, "priority"),
        ({"unique_key": "digest:1"}, "unique_key"),
    ],
)
async def test_what_needs_a_field_of_a_job_is_refused(
    shared: tuple[JobProcessor, SetClock], option: dict[str, Any], argument: str
) -> None:
    """When the schedule is put, by the name of the option, and nothing is stored."""
    processor, _ = shared
    with pytest.raises(SharedDatabaseError) as told:
        await processor.put_schedule("digest:1", job="digest", every=60, **option)
    assert told.value.argument == argument
    assert await processor.get_schedule("digest:1") is None
