"""Limits on a database to which the Node package comes later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import JobDef, JobStatus, Limit
from tests.node.databases import fixture
from tests.node.test_rules import register_node_worker
from tests.processors import Processors, eventually

pytestmark = pytest.mark.mongo


async def node_comes(url: str) -> None:
    """Do what a start of the Node package does: its validator takes the place of ours."""
    async with AsyncMongoClient[dict[str, object]](url) as client:
        database = client.get_default_database()
        options = fixture("node_validator.json")
        await database.command("collMod", "job_processor.jobs", **options)
    await register_node_worker(url, ["node"])


async def test_nothing_stands_where_node_comes_later(
    mongo_db_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in lanes then runs without a limit; a warning and `check` say so."""
    inside = asyncio.Event()
    release = asyncio.Event()

    async def sync(payload: Any) -> None:
        inside.set()
        await release.wait()

    async with Processors(mongo_db_url) as processors:
        jobs = {"sync": JobDef(sync, limit=Limit(1, key="tenant"))}
        processor, _ = await processors.start(jobs=jobs)
        made = await processor.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(4)])
        await inside.wait()

        async def parked() -> bool:
            found = [await processor.get_job(job.id) for job in made]
            return sum(job is not None and job.waits_for is not None for job in found) == 3

        await eventually(parked)
        await node_comes(mongo_db_url)
        release.set()

        async def finished() -> bool:
            jobs = [await processor.get_job(job.id) for job in made]
            return {job.status for job in jobs if job is not None} == {JobStatus.FINISHED}

        await eventually(finished)
    assert "have left their lanes" in caplog.text or "leaves it at its end" in caplog.text


async def test_a_check_tells_of_lanes_beside_node(mongo_db_url: str) -> None:
    """Where Node has come and nobody has taken the jobs out of their lanes, a check says so."""

    async def sync(payload: Any) -> None:
        """Do nothing."""

    async with Processors(mongo_db_url) as processors:
        processor = await processors.make(jobs={"sync": JobDef(sync, limit=Limit(1, key="tenant"))})
        await processor.schedule_job("sync", {"tenant": "a"})
        await node_comes(mongo_db_url)
        found = {each.subject: each.text for each in await processor.check()}
        assert "sync:a" in found["limits"]
