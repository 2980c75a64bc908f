"""A store behind a codec keeps the promises of the store."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor.errors import StoreUnavailableError
from job_processor.integrations.encryption import Encryption
from job_processor.models import Job, JobStatus, Output
from job_processor.store import Store
from job_processor.store.coded import coded
from job_processor.values import is_sealed
from tests.samples import NOW, SECOND, claim, end, read, run, simple

PAYLOAD = {"text": "to be kept to oneself"}


@pytest.fixture
def behind(store: Store) -> Store:
    """The store behind an encryption."""
    return coded(store, Encryption({"k": bytes(32)}))


async def test_a_job_through_it(store: Store, behind: Store) -> None:
    """What is inserted and settled is sealed in the store, and comes out of it as it went in."""
    job = simple(payload=PAYLOAD)
    assert await behind.intake.insert([job]) == []
    (claimed,) = await behind.queue.claim(claim(1, now=NOW + SECOND))
    assert claimed.payload == PAYLOAD  # type: ignore[union-attr]
    raw: Any
    (raw,) = await read(store, job)
    assert is_sealed(raw.payload)
    settlement = end(claimed, output=Output("1s", PAYLOAD))
    assert (await behind.runs.settle([settlement])).won == {job.id}
    ended = await behind.history.get(job.id)
    assert ended is not None
    assert ended.output == Output("1s", PAYLOAD)
    assert ended == settlement.written()
    (raw,) = await read(store, job)
    assert is_sealed(raw.output.result)


async def test_a_settlement_whose_reply_was_lost(
    store: Store, behind: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its repetition writes the very same, and wins, though no two encryptions are alike."""
    (job,) = await run(behind, simple(payload=PAYLOAD))
    settlement = end(job, output=Output("1s", PAYLOAD))
    settle, lost = store.runs.settle, [True]

    async def losing(settlements: Any) -> Any:
        verdict = await settle(settlements)
        if lost.pop():
            lost.append(False)
            raise StoreUnavailableError("the reply was lost")
        return verdict

    monkeypatch.setattr(store.runs, "settle", losing)
    with pytest.raises(StoreUnavailableError):
        await behind.runs.settle([settlement])
    assert (await behind.runs.settle([settlement])).won == {job.id}
    ended = await behind.history.get(job.id)
    assert ended is not None
    assert ended.status is JobStatus.FINISHED


async def test_a_plain_store_stays_itself(store: Store) -> None:
    """Without a codec nothing stands before it."""
    assert coded(store, None) is store


async def test_what_is_not_there(behind: Store) -> None:
    """Nothing stays nothing: no payload, no result, no job."""
    job: Job = simple()
    await behind.intake.insert([job])
    assert await behind.history.get(job.id) == job
    assert await behind.runs.state(job.id) is None
    assert await behind.history.delete([job.id]) == {job.id}
    assert await behind.history.get(job.id) is None
