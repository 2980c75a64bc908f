"""Whoever schedules is warned of a worker of the Node package that takes and fails what is ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, StoreUnavailableError
from job_processor.node import onlooker
from job_processor.store.mongo.workers import MongoWorkers
from tests.definitions import nothing
from tests.insides import store_of
from tests.node.databases import install_node_validator
from tests.processors import Processors
from tests.samples import worker

pytestmark = pytest.mark.mongo
JOBS = {"mail": JobDef(nothing), "resize": JobDef(nothing), "theirs": JobDef(None)}


@pytest.fixture
async def shared(mongo_db_url: str) -> AsyncIterator[JobProcessor]:
    """A processor on a database that the Node package works on, too."""
    async with Processors(mongo_db_url) as processors:
        await processors.make()
        await install_node_validator(mongo_db_url)
        yield await processors.make(jobs=JOBS)


async def register(processor: JobProcessor, **fields: Any) -> None:
    """Register a worker of the Node package, unless the fields say otherwise."""
    await store_of(processor).workers.register(worker(**{"timeout_s": None, **fields}))


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the names of which somebody was warned."""
    lines = [each for each in caplog.messages if "has no workerTags" in each]
    return [line.split("'")[1] for line in lines]


async def test_it_is_told_once_a_name(
    shared: JobProcessor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the worker and what to do; for one job and for many, and again after some time."""
    await register(shared, hostname="node-1")
    for _ in range(2):
        await shared.schedule_job("mail")
        await shared.schedule_jobs(["mail", "resize", "resize"])
    assert warned(caplog) == ["mail", "resize"]
    assert "node-1 has no workerTags: it claims every job, and errors those" in caplog.text
    monkeypatch.setattr(onlooker, "NODE_WARNING_INTERVAL", 0.0)
    await shared.schedule_job("mail")
    assert warned(caplog) == ["mail", "resize", "mail"]


@pytest.mark.parametrize("fields", [{"tags": ("node",)}, {"timeout_s": 60.0}])
async def test_others_do_no_harm(
    shared: JobProcessor, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    """A Node worker with tags takes nothing of ours, and one of ours only what it knows."""
    await register(shared, **fields)
    await shared.schedule_job("mail")
    assert warned(caplog) == []


async def test_a_name_that_python_does_not_run(
    shared: JobProcessor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is only scheduled here may be a job of Node; not where one of our workers has it."""
    await register(shared)
    await shared.schedule_job("theirs")
    assert warned(caplog) == []
    await register(shared, timeout_s=60.0, names=("theirs",))
    monkeypatch.setattr(onlooker, "NODE_LOOK_INTERVAL", 0.0)
    await shared.schedule_job("theirs")
    assert warned(caplog) == ["theirs"]


async def test_nothing_is_asked_where_nothing_of_node_is(
    mongo_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain job costs no statement more; where Node is, it costs one in a minute."""
    asked: list[str] = []
    registrations = MongoWorkers.registrations

    async def counted(self: MongoWorkers) -> Any:
        asked.append("registrations")
        return await registrations(self)

    monkeypatch.setattr(MongoWorkers, "registrations", counted)
    async with Processors(mongo_db_url) as processors:
        alone = await processors.make(jobs=JOBS)
        await alone.schedule_jobs(["mail", "mail"])
        assert asked == []
        await install_node_validator(mongo_db_url)
        beside = await processors.make(jobs=JOBS)
        for _ in range(3):
            await beside.schedule_job("mail")
        assert asked == ["registrations"]


async def test_a_look_that_fails_costs_no_job(
    shared: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is stored by then, and its caller gets it."""

    async def away(_: MongoWorkers) -> Any:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(MongoWorkers, "registrations", away)
    job = await shared.schedule_job("mail")
    assert await shared.get_job(job.id) == job
