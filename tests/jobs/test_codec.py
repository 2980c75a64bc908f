"""A codec: what jobs hold is not readable in the database, and handlers do not notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    CodecError,
    Context,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobStatus,
    MissingKeyError,
    Offload,
    Retry,
)
from job_processor.as_json import job_json
from job_processor.integrations.encryption import Encryption
from job_processor.jobs.request import JobRequest
from job_processor.models import Job, Output
from job_processor.redaction import Redaction
from job_processor.values import is_sealed
from tests.insides import store_of
from tests.processors import Processors

SECRET = "hunter2-and-more"  # noqa: S105  # what must not be stored readably
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


class Objects:
    """A store of large values."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        """Keep bytes."""
        self.kept[key] = data

    async def get(self, key: str) -> bytes | None:
        """Return them."""
        return self.kept.get(key)

    async def delete(self, key: str) -> None:
        """Forget them."""
        self.kept.pop(key, None)


async def echo(payload: Any) -> Any:
    """Return what it was given."""
    return payload


async def stored(processor: JobProcessor, db_url: str, job: Job) -> Job:
    """Return a job as the database has it."""
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, collection_prefix=prefix) as onlooker:
        found = await onlooker.get_job(job.id)
        assert found is not None
        return found


@pytest.fixture
def codec() -> Encryption:
    """An encryption."""
    return Encryption({"2026": KEY})


PAYLOAD = {
    "text": SECRET,
    "n": [1, 2.5, True, None, 2**40],
    "at": datetime(2026, 1, 2, 3, tzinfo=UTC),
    "raw": b"\x00\xff",
    "id": ObjectId("0123456789abcdef01234567"),
}


async def test_payload_and_result(processors: Processors, db_url: str, codec: Encryption) -> None:
    """They come back as they were, with all their types; the database has nothing of them."""
    processor = await processors.make(jobs={"echo": JobDef(echo)}, codec=codec)
    job = await processor.schedule_job("echo", PAYLOAD)
    assert job.payload == PAYLOAD
    await processor.run_worker(burst=True)
    ended = await processor.wait_for_job(job.id)
    assert ended.payload == ended.result() == PAYLOAD  # type: ignore[union-attr]
    raw = await stored(processor, db_url, job)
    assert is_sealed(raw.payload)  # type: ignore[union-attr]
    assert raw.output is not None
    assert is_sealed(raw.output.result)
    assert SECRET not in repr(raw)
    assert SECRET.encode() not in repr(raw).encode()
    (found,) = (await processor.find_jobs()).jobs
    assert found.payload == PAYLOAD  # type: ignore[union-attr]


async def test_many_ways_in(processors: Processors, db_url: str, codec: Encryption) -> None:
    """Many at once, run here, replaced, in a group and what follows it, a flow, a schedule."""
    jobs = {"echo": JobDef(echo), "after": JobDef(echo)}
    processor = await processors.make(jobs=jobs, codec=codec)
    payload = {"text": SECRET}
    made: list[Any] = await processor.schedule_jobs([("echo", payload)] * 3)
    made.append(await processor.run_job("echo", payload))
    made += [
        await processor.schedule_job(
            "echo", payload, timedelta(0), unique_key="k", on_conflict="replace"
        )
        for _ in range(2)
    ]
    async with processor.group(then=JobRequest("after", payload)) as group:
        await group.add("echo", payload)
    flow = processor.flow("import")
    flow.add("echo", payload)
    made += await flow.start()
    await processor.put_schedule(
        "s", every=timedelta(hours=1), job="echo", payload=payload, start=datetime.now(UTC)
    )
    schedule = await processor.get_schedule("s")
    assert schedule is not None
    assert schedule.payload == payload
    await processor.run_worker(burst=True)
    await processor.run_worker(burst=True)
    found = (await processor.find_jobs(type="simple")).jobs
    assert {job.name for job in found} == {"echo", "after"}
    assert all(job.payload == payload for job in found)  # type: ignore[union-attr]
    assert all(job.result() == payload for job in found if job.settled)
    for job in found:
        assert SECRET not in repr(await stored(processor, db_url, job))
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, collection_prefix=prefix) as onlooker:
        assert SECRET not in repr(await onlooker.get_schedule("s"))
        record = await store_of(onlooker).groups.get(group.id)
        assert record is not None
        assert SECRET not in repr(record)


async def test_state_steps_and_messages(
    processors: Processors, db_url: str, codec: Encryption
) -> None:
    """What a handler keeps and what it is sent: readable to it, and to nobody in the database."""
    told: list[Any] = []

    async def work(context: Context) -> str:
        await context.save({"secret": SECRET})
        told.append(await context.step("pay", give))
        told.append(await context.receive("paid", timeout=timedelta(hours=1)))
        told.append(context.state)
        return SECRET

    def give() -> dict[str, str]:
        return {"receipt": SECRET}

    jobs = {"work": JobDef(work, resumable=True)}
    processor = await processors.make(jobs=jobs, codec=codec)
    job = await processor.schedule_job("work")
    await processor.run_worker(burst=True)
    raw = await stored(processor, db_url, job)
    assert is_sealed(raw.steps[0].result)
    assert SECRET not in repr(raw)
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, collection_prefix=prefix) as onlooker:
        assert is_sealed(await store_of(onlooker).runs.state(job.id))
    await processor.send("paid", {"by": SECRET})
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(job.id)).result() == SECRET
    receipt = {"receipt": SECRET}
    assert told == [receipt, receipt, {"by": SECRET}, {"secret": SECRET}]
    assert SECRET not in repr(await stored(processor, db_url, job))


async def test_another_key_is_named(processors: Processors, codec: Encryption) -> None:
    """A worker without it fails the job with an error that names it; with it, it goes on."""
    jobs = {"echo": JobDef(echo)}
    web = await processors.make(jobs=jobs, codec=codec)
    prefix = web.settings.collection_prefix
    job = await web.schedule_job("echo", {"text": SECRET})
    other = Encryption({"2027": OTHER_KEY})
    without = await processors.make(jobs=jobs, codec=other, collection_prefix=prefix)
    await without.run_worker(burst=True)
    failed = await web.wait_for_job(job.id)
    assert failed.status is JobStatus.ERRORED
    assert failed.output is not None
    assert "MissingKeyError: it was encrypted by the key '2026'" in (failed.output.error or "")
    assert SECRET not in (failed.output.error or "")
    both = Encryption({"2026": KEY, "2027": OTHER_KEY}, use="2027")
    rotated = await processors.make(jobs=jobs, codec=both, collection_prefix=prefix)
    await rotated.retry_job(job.id)
    await rotated.run_worker(burst=True)
    assert (await rotated.wait_for_job(job.id)).result() == {"text": SECRET}
    with pytest.raises(MissingKeyError, match="'2027', and those that are here are '2026'"):
        (await web.wait_for_job(job.id)).result()


async def test_without_a_codec_it_can_be_handled(
    processors: Processors, db_url: str, codec: Encryption
) -> None:
    """Listed, shown as encrypted, killed, retried and deleted, and nothing of it is told."""
    processor = await processors.make(jobs={"echo": JobDef(echo)}, codec=codec)
    jobs = await processor.schedule_jobs([("echo", {"password": SECRET, "big": "x" * 2000})] * 2)
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, collection_prefix=prefix) as onlooker:
        found: Any = await onlooker.get_job(jobs[0].id)
        assert found is not None
        assert list(job_json(found)["payload"]) == ["[encrypted]"]
        for job in (await onlooker.list_jobs(redaction=Redaction())).jobs:
            assert job.payload == {"[encrypted]": "…"}
        assert (await onlooker.count_jobs(payload={"password": SECRET})) == 0
        with pytest.raises(CodecError, match="the result of job"):
            replace(found, status=JobStatus.FINISHED, output=Output("1s", found.payload)).result()
        await onlooker.kill_job(jobs[0].id)
        await onlooker.retry_job(jobs[0].id)
        await onlooker.kill_job(jobs[0].id)
        await onlooker.delete_job(jobs[0].id)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(jobs[1].id)).result()["password"] == SECRET


async def test_what_was_stored_before(processors: Processors, codec: Encryption) -> None:
    """Jobs without a codec run on with one; a payload of nothing is stored as ever."""
    plain = await processors.make(jobs={"echo": JobDef(echo)})
    job = await plain.schedule_job("echo", {"a": 1})
    prefix = plain.settings.collection_prefix
    coded = await processors.make(
        jobs={"echo": JobDef(echo)}, codec=codec, collection_prefix=prefix
    )
    empty = await coded.schedule_job("echo")
    await coded.run_worker(burst=True)
    assert (await coded.wait_for_job(job.id)).result() == {"a": 1}
    assert (await plain.wait_for_job(empty.id)).result() is None


async def test_large_values_are_kept_elsewhere(processors: Processors, db_url: str) -> None:
    """Those above the size; small ones stay readable; what is deleted by hand lets them go."""
    objects = Objects()
    processor = await processors.make(
        jobs={"echo": JobDef(echo)}, codec=Offload(objects, above=1000)
    )
    small = await processor.schedule_job("echo", {"a": 1})
    large = await processor.schedule_job("echo", {"text": SECRET * 100})
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(large.id)).result() == {"text": SECRET * 100}
    assert len(objects.kept) == 2
    assert (await stored(processor, db_url, small)).payload == {"a": 1}  # type: ignore[union-attr]
    assert SECRET not in repr(await stored(processor, db_url, large))
    await processor.delete_job(large.id)
    assert objects.kept == {}


async def test_an_object_that_is_gone(processors: Processors) -> None:
    """The job fails, as its retries say, and the error says why."""
    objects = Objects()
    processor = await processors.make(
        jobs={"echo": JobDef(echo, retry=Retry(max_attempts=2, delay=0))},
        codec=Offload(objects, above=10, codec=Encryption({"k": KEY})),
    )
    job = await processor.schedule_job("echo", {"text": SECRET * 100})
    assert SECRET.encode() not in b"".join(objects.kept.values())
    objects.kept.clear()
    for _ in range(2):
        await processor.run_worker(burst=True)
    failed = await processor.wait_for_job(job.id)
    assert failed.status is JobStatus.ERRORED
    assert failed.attempt == 2


@pytest.mark.parametrize("codec", [5, Encryption, "key"])
def test_what_is_no_codec(codec: Any) -> None:
    """It is refused when the processor is made."""
    with pytest.raises(InvalidArgumentError, match="codec"):
        JobProcessor("sqlite://", codec=codec)
