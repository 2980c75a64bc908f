"""Pages of selections, actions on many jobs, counts over time: what a dashboard asks for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import (
    Acted,
    InvalidArgumentError,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobRequest,
    JobStateError,
    JobStatus,
    Retry,
)
from job_processor.store.rollups import total
from tests.insides import engine_of
from tests.processors import WAIT, Processors


def echo(payload: Any) -> Any:
    """Return what it was given, unless it is to fail."""
    if payload and payload.get("fail"):
        raise ValueError(payload["fail"])
    return payload


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with two jobs, one of them with a tag."""
    return await processors.make(jobs={"a": JobDef(echo), "b": JobDef(echo, tag="heavy")})


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_pages_lead_forwards_and_backwards(
    processor: JobProcessor, oldest_first: bool
) -> None:
    """Through all of it and back, each job once, with an end at both sides."""
    made = [job.id for job in await processor.schedule_jobs(["a", "b"] * 5)]
    order = made if oldest_first else made[::-1]
    options: dict[str, Any] = {"limit": 4, "oldest_first": oldest_first}
    first = await processor.find_jobs(**options)
    second = await processor.find_jobs(after=first.next, **options)
    third = await processor.find_jobs(after=second.next, **options)
    assert [job.id for page in (first, second, third) for job in page.jobs] == order
    assert (first.previous, third.next) == (None, None)
    back = await processor.find_jobs(before=third.previous, **options)
    assert back.jobs == second.jobs
    assert back.next == second.next
    again = await processor.find_jobs(before=back.previous, **options)
    assert (again.jobs, again.previous) == (first.jobs, None)
    only = await processor.find_jobs(name="a", before=made[4], **options)
    expected = [
        each
        for each in order
        if made.index(each) % 2 == 0 and (each > made[4]) != oldest_first and each != made[4]
    ]
    assert [job.id for job in only.jobs] == expected[-4:]


async def test_selections(processor: JobProcessor) -> None:
    """By tag, time, worker, error and payload; each is counted, too."""
    await processor.schedule_jobs(
        [("a", {"user": {"id": 7}}), ("b", {"fail": "No disk"}), JobRequest("b"), ("a",)]
    )
    await processor.run_worker(burst=True)
    now = datetime.now(UTC)
    (failed,) = (await processor.find_jobs(status="errored")).jobs
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 4),
        ({"tag": "heavy"}, 2),
        ({"tag": "heavy", "name": "a"}, 0),
        ({"tag": "unknown"}, 0),
        ({"created_from": now - timedelta(minutes=1)}, 4),
        ({"created_to": now - timedelta(minutes=1)}, 0),
        ({"created_from": now + timedelta(minutes=1)}, 0),
        ({"worker": failed.worker_id}, 4),
        ({"error": "no DISK"}, 1),
        ({"payload": {"user.id": 7}}, 1),
        ({"payload": {"user.id": "8"}}, 0),
    ]
    for selection, expected in cases:
        assert len((await processor.find_jobs(**selection)).jobs) == expected, selection
        assert await processor.count_jobs(**selection) == expected
    assert await processor.count_jobs(cap=3) == 3


async def test_many_are_acted_on(processor: JobProcessor) -> None:
    """Killed, retried and deleted: those that it can be done to, the others are counted."""
    made = await processor.schedule_jobs([("a", {"n": n}) for n in range(6)])
    ids = [job.id for job in made]
    assert await processor.act_on_jobs("retry", ids) == Acted(0, 6)
    assert await processor.act_on_jobs("kill", ids[:2]) == Acted(2, 0)
    assert await processor.act_on_jobs("kill", name="a") == Acted(4, 2)
    assert await processor.act_on_jobs("retry", status="killed", name="a") == Acted(6, 0)
    await processor.run_worker(burst=True)
    assert await processor.count_jobs(status="finished") == 6
    assert await processor.act_on_jobs("delete", [str(ids[0]), ids[0]]) == Acted(1, 1)
    assert await processor.act_on_jobs("delete", name="a") == Acted(5, 0)
    assert await processor.count_jobs() == 0


async def test_a_job_is_deleted(processors: Processors) -> None:
    """Unless it runs, or there is none."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        begun.set()
        await go_on.wait()

    processor, _ = await processors.start(jobs={"held": JobDef(held)})
    job = await processor.schedule_job("held")
    await begun.wait()
    with pytest.raises(JobStateError, match="kill it before"):
        await processor.delete_job(job.id)
    assert await processor.act_on_jobs("delete", [job.id]) == Acted(0, 1)
    go_on.set()
    await processor.wait_for_job(job.id)
    await processor.delete_job(job.id)
    with pytest.raises(JobNotFoundError):
        await processor.delete_job(job.id)


async def test_how_runs_ended_is_counted(processors: Processors) -> None:
    """By minute and by ten minutes, with failing names and delays."""
    jobs = {"a": JobDef(echo), "b": JobDef(echo, retry=Retry(2, delay=0))}
    processor = await processors.make(jobs=jobs)
    since = datetime.now(UTC) - timedelta(minutes=11)
    requests: list[Any] = [("a",)] * 3
    requests += [("a", {"fail": "x"}), JobRequest("b", {"fail": "y"}), JobRequest("b")]
    await processor.schedule_jobs(requests)
    await processor.run_worker(burst=True)
    await processor.run_job("a")
    for seconds in (60, 600):
        counted = total(await processor.get_rollups(seconds, since))
        assert counted.counts == {"finished": 5, "errored": 2, "retried": 1}
        assert counted.failures == {"a": 1, "b": 2}
        assert sum(counted.delays.values()) == 7  # of first attempts
        median, worst = counted.delay(0.5), counted.delay(1)
        assert median is not None
        assert worst is not None
        assert 0 < median <= worst < 60
    with pytest.raises(InvalidArgumentError, match="seconds"):
        await processor.get_rollups(61, since)


async def test_a_worker_is_asked_to_stop(processors: Processors) -> None:
    """From another process: it stops gracefully within a second or two, others go on."""
    jobs = {"a": JobDef(echo)}
    _, first = await processors.start(jobs=jobs, poll_interval=3600)
    boss, second = await processors.start(jobs=jobs)
    status = await boss.get_status()
    workers = {group["worker"]["_id"] for group in status["workers"]}
    engine = engine_of(boss)
    (other,) = workers - {str(engine.worker_id)}
    await boss.stop_worker(other)
    await asyncio.wait_for(asyncio.shield(first.task), WAIT)
    assert not second.task.done()
    assert (await boss.get_pauses()).workers == frozenset()
    with pytest.raises(InvalidArgumentError, match=r"worker_id.*registered"):
        await boss.stop_worker(other)


@pytest.mark.parametrize(
    ("selection", "argument"),
    [
        ({"status": "done"}, "status"),
        ({"type": "job"}, "type"),
        ({"worker": "7"}, "worker"),
        ({"created_from": datetime(2026, 1, 1)}, "created_from"),  # noqa: DTZ001  # what is tested
        ({"error": ""}, "error"),
        ({"error": "x" * 201}, "error"),
        ({"payload": {}}, "payload"),
        ({"payload": {"a": 1, "b": 2}}, "payload"),
        ({"payload": {"$where": 1}}, "payload"),
        ({"payload": {"a..b": 1}}, "payload"),
        ({"payload": {"a": {"$gt": 1}}}, "payload"),
        ({"payload": {"a": '{"$gt": 1}'}}, "payload"),
        ({"payload": {"a": '["b"]'}}, "payload"),
        ({"payload": {"a": "[" * 500 + "]" * 500}}, "payload"),
        ({"payload": {"a": 2**63}}, "payload"),
        ({"payload": {"a": "99999999999999999999"}}, "payload"),
        ({"payload": {"a": "x" * 1001}}, "payload"),
        ({"payload": {"a": '"\\ud800"'}}, "payload"),
        ({"payload": {".".join("a" * 21): 1}}, "payload"),
        ({"payload": {"a" * 501: 1}}, "payload"),
    ],
)
async def test_bad_input(processor: JobProcessor, selection: Any, argument: str) -> None:
    """The error names the argument."""
    for call in (processor.find_jobs, processor.count_jobs):
        with pytest.raises(InvalidArgumentError) as caught:
            await call(**selection)
        assert caught.value.argument == argument
    with pytest.raises(InvalidArgumentError, match="action"):
        await processor.act_on_jobs("eat", [])  # type: ignore[arg-type]  # what is tested
    wrong: list[dict[str, Any]] = [{}, {"job_ids": [], "status": JobStatus.PENDING}]
    for both in wrong:
        with pytest.raises(InvalidArgumentError, match="job_ids"):
            await processor.act_on_jobs("kill", **both)


async def test_odd_values_are_looked_for(processors: Processors) -> None:
    """Whatever text stands for a value finds what it says, and is never an error of the store."""
    processor = await processors.make(jobs={"a": JobDef(None)})
    payloads: list[Any] = ["x", "99999999999999999999", "{}", 7, 1.5, True, None, 'a"b', "é"]
    made = [await processor.schedule_job("a", {"of": {"id": value}}) for value in payloads]
    texts = ["x", '"99999999999999999999"', '"{}"', "7", "1.5", "true", None, '"a\\"b"', "é"]
    for job, text in zip(made, texts, strict=True):
        if text is not None:
            (found,) = (await processor.find_jobs(payload={"of.id": text})).jobs
            assert found.id == job.id
    for text in ("NaN", "Infinity", "1e999", "nope", "'", "\\", "%", "0" * 900):
        assert (await processor.find_jobs(payload={"of.id": text})).jobs == ()
    for path in ("of.'id", 'of."id', "of.i\\d", "of.[0]", "of.#", "é.è", "of.id[0]", "*"):
        assert (await processor.list_jobs(payload={path: "x"})).jobs == ()
