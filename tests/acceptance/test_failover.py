"""A real replica set gets another primary while workers work."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from job_processor import JobStatus
from tests.acceptance.test_outages import Producer
from tests.acceptance.workers import Site
from tests.mongo_server import EXTERNAL_URL_VARIABLE, database_url, external_url

AWAY = 5
"""Seconds for which a member that has stepped down is no primary again."""


def replica_set() -> MongoClient[dict[str, Any]]:
    """Return a client of the set that the environment names; skips the test where there is none."""
    url = external_url()
    if url is None:
        pytest.skip(f"needs a real replica set: {EXTERNAL_URL_VARIABLE}")
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    if "setName" not in client.admin.command("hello"):
        client.close()
        pytest.skip("this server is no member of a replica set, so no primary steps down")
    return client


def step_down(client: MongoClient[dict[str, Any]]) -> None:
    """Let another member be elected, or the same one again where it is alone."""
    try:
        client.admin.command("replSetStepDown", AWAY, force=True)
    except AutoReconnect:
        pass  # as the primary closed its connections
    except OperationFailure as error:
        pytest.skip(f"this server does not step down: {error}")


@pytest.mark.mongo
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("times", "jobs_between"), [(2, 50), pytest.param(5, 300, marks=pytest.mark.soak)]
)
async def test_a_primary_that_steps_down_loses_and_doubles_nothing(
    make_site: Callable[..., Any], times: int, jobs_between: int
) -> None:
    """Under load: what was acknowledged runs once, by the same workers, which all live on."""
    client = await asyncio.to_thread(replica_set)
    try:
        url = database_url(external_url() or "", f"failover_{secrets.token_hex(6)}")
        site: Site = await make_site(url, worker_timeout=30)
        workers = [site.start_worker() for _ in range(3)]
        await site.until_workers(3)
        producer = Producer(site)
        producing = asyncio.create_task(producer.run())
        try:
            for _ in range(times):
                enough = len(producer.acknowledged) + jobs_between
                await producer.until(lambda enough=enough: len(producer.acknowledged) >= enough)  # type: ignore[misc]
                await asyncio.to_thread(step_down, client)
            enough = len(producer.acknowledged) + jobs_between
            await producer.until(lambda: len(producer.acknowledged) >= enough)
        finally:
            producing.cancel()
        settled = await site.settled(producer.acknowledged, timeout=300)
    finally:
        client.close()
    assert len(settled) >= (times + 1) * jobs_between
    assert [job for job in settled if job.status is not JobStatus.FINISHED] == []
    starts = [line["job"] for line in site.lines("start")]
    assert len(starts) == len(set(starts))
    assert set(starts) >= {str(job.id) for job in settled}
    site.assert_hooked_at_most_once()
    assert [worker.process.poll() for worker in workers] == [None] * 3
