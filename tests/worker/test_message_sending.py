"""Sending: from wherever, to whoever waits, also where somebody dies in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import (
    Clock,
    Context,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    PayloadError,
    SharedDatabaseError,
    StoreError,
)
from job_processor.parts import parts_of
from job_processor.sync import JobClient
from tests.processors import QUICK, Processors, eventually
from tests.samples import NOW as START
from tests.worker.test_messages import after_a_run, made, order


async def paid(context: Context, topic: str = "paid") -> Any:
    """Wait for a payment, for long."""
    return await context.receive(topic, timeout=3600)


async def waits(processor: JobProcessor, job: Job) -> bool:
    """Tell whether a job is parked for a message."""
    found = await processor.get_job(job.id)
    return found is not None and found.waits_for is not None


async def test_another_process_wakes_a_worker(processors: Processors) -> None:
    """At once, whoever sends it: nobody polls for it."""
    processor, _ = await processors.start(jobs={"order": JobDef(paid)}, poll_interval=3600)
    job = await processor.schedule_job("order")
    await eventually(lambda: waits(processor, job))
    other = await processors.make()
    assert await other.send("paid", 7)
    assert (await processor.wait_for_job(job.id, 60)).result() == 7


async def test_a_worker_goes_on_when_the_time_is_over(processors: Processors) -> None:
    """By a timer of its own, set as the handler leaves."""

    async def order(context: Context) -> Any:
        return await context.receive("paid", timeout=0.3)

    processor, _ = await processors.start(jobs={"order": JobDef(order)}, worker_timeout=200)
    job = await processor.schedule_job("order")
    done = await processor.wait_for_job(job.id, 60)
    assert done.result() is None
    assert (done.ended_at or START) - done.created_at >= timedelta(seconds=0.3)


async def test_a_worker_that_comes_later_goes_on(processors: Processors) -> None:
    """Whose time was over while nobody worked is let go on as soon as somebody does."""
    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    clock.move(hours=2)
    await processors.worker(processor)
    assert (await processor.wait_for_job(job.id, 60)).result() == [5, None]


async def test_the_sweep_gives_what_a_dead_process_owed(processors: Processors) -> None:
    """Whoever sent died before it woke who waits, or whoever waits before it looked."""
    processor, _ = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    messages = parts_of(processor).store.messages
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(messages), "deliver", _nobody)
        await processor.send("paid:42", "owed")
    assert await waits(processor, job)
    assert (await after_a_run(processor, job)).result() == [5, "owed"]


async def _nobody(*_: Any) -> int:
    return 0


async def test_a_database_that_fails_in_between_owes_it(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is kept, so it is sent; that nobody was woken is logged."""
    processor, _ = await made(processors, order=order)
    messages = parts_of(processor).store.messages

    async def fail(*_: Any) -> int:
        raise StoreError("away")

    monkeypatch.setattr(type(messages), "deliver", fail)
    assert await processor.send("paid:42", 1)
    assert "the next sweep wakes who waits" in caplog.text


async def test_run_job_waits_in_place(processors: Processors) -> None:
    """It is no worker's that could come back to it: the message, the time, or its end."""
    processor = await processors.make(jobs={"order": JobDef(paid), "plain": JobDef(plain)})
    for name in ("order", "plain"):
        running = asyncio.create_task(processor.run_job(name, {"topic": name}))
        await eventually(lambda name=name: begun(processor, name))
        assert await processor.send(name, "now")
        job = await running
        assert (job.result(), [step.name for step in job.steps]) == ("now", [name])
    job = await processor.run_job("plain", {"topic": "none", "timeout": 0.01})
    assert job.result() is None


async def begun(processor: JobProcessor, name: str) -> bool:
    """Tell whether a job of this name has begun to wait."""
    page = await processor.find_jobs(name=name)
    return any(job.steps for job in page.jobs)


def plain(topic: str, context: Context, timeout: float = 60) -> Any:
    """Wait in a thread."""
    return context.receive_sync(topic, timeout=timeout)


async def test_a_run_job_that_waits_is_interrupted(processors: Processors) -> None:
    """By whoever gives it up."""
    processor = await processors.make(jobs={"order": JobDef(paid)})
    running = asyncio.create_task(processor.run_job("order"))
    await eventually(lambda: begun(processor, "order"))
    page = await processor.find_jobs(name="order")
    await processor.kill_job(page.jobs[0].id)
    assert (await running).status == "killed"


async def test_in_a_transaction_it_is_sent_once_that_commits(
    processors: Processors, tmp_path: Path
) -> None:
    """With whoever waits; a transaction that is given up sends nothing."""
    if processors.db_url.startswith("dictionaries"):
        pytest.skip("dictionaries know no transactions of others")
    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    clock.move_to(Clock().now())  # that of whoever sends
    if processors.db_url.startswith("sqlite"):
        await _send_in_sqlite(processor, tmp_path)
    else:
        await _send_in_mongo(processors.db_url)
        clock.move_to(Clock().now())
    assert (await after_a_run(processor, job)).result() == [5, "kept"]


async def _send_in_sqlite(processor: JobProcessor, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.db")
    assert await processor.send("paid:42", "given up", session=connection)
    connection.rollback()
    assert await processor.send("paid:42", "kept", session=connection)
    assert not await processor.send("paid:42", "second", session=connection)
    connection.commit()
    connection.close()
    with pytest.raises(InvalidArgumentError, match="session"):
        await processor.send("paid:42", session=object())


async def _send_in_mongo(url: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    async with (
        client,
        JobProcessor(client.get_default_database(), **QUICK) as other,
        client.start_session() as session,
    ):
        await session.start_transaction()
        assert await other.send("paid:42", "given up", session=session)
        await session.abort_transaction()
        await session.start_transaction()
        assert await other.send("paid:42", "kept", session=session)
        assert not await other.send("paid:42", "second", session=session)
        await session.commit_transaction()
        with pytest.raises(InvalidArgumentError, match="in no transaction"):
            await other.send("paid:42", session=session)


async def test_synchronous_code_sends(processors: Processors) -> None:
    """By a client of its own."""
    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))

    def send() -> list[bool]:
        with JobClient(processors.db_url) as client:
            return [client.send("paid:42", {"by": "card"}), client.send("paid:42", 2, ttl=60)]

    assert await asyncio.to_thread(send) == [True, False]
    clock.move_to(Clock().now())  # that of whoever sent it
    assert (await after_a_run(processor, job)).result() == [5, {"by": "card"}]


BAD: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (
        lambda p: p.send(None),
        InvalidArgumentError,
        "topic: None is not allowed; allowed is a str of 1",
    ),
    (lambda p: p.send(""), InvalidArgumentError, "allowed is a str of 1 to 200"),
    (lambda p: p.send("x" * 201), InvalidArgumentError, "allowed is a str of 1 to 200"),
    (lambda p: p.send("\ud800"), InvalidArgumentError, "lone surrogates"),
    (
        lambda p: p.send("a", None),
        InvalidArgumentError,
        "None is what a wait that times out returns",
    ),
    (lambda p: p.send("a", object()), PayloadError, "payload: <a object> is not allowed"),
    (lambda p: p.send("a", {"token": {1}}), PayloadError, "payload.token"),
    (
        lambda p: p.send("a", 1, ttl=0),
        InvalidArgumentError,
        "ttl: 0 is not allowed; allowed is a number of sec",
    ),
    (lambda p: p.send("a", 1, ttl="1 d"), InvalidArgumentError, "or a timedelta"),
]


@pytest.mark.parametrize(("call", "error", "told"), BAD)
async def test_what_cannot_be_sent(
    processors: Processors, call: Callable[[Any], Any], error: type[Exception], told: str
) -> None:
    """It is told by an error that names the argument, and what is allowed; nothing is sent."""
    processor = await processors.make()
    with pytest.raises(error) as raised:
        await call(processor)
    assert told in str(raised.value)
    assert await parts_of(processor).store.messages.find(["a"], START) == {}


@pytest.mark.parametrize(
    ("topic", "timeout", "told"),
    [
        (None, 1, "topic: None is not allowed; allowed is a str of 1 to 200 characters"),
        ("", 1, "allowed is a str of 1 to 200 characters"),
        ("x" * 201, 1, "allowed is a str of 1 to 200 characters"),
        ("\ud800", 1, "lone surrogates"),
        ("paid", -1, "timeout: -1 is not allowed; allowed is a number of seconds of at least 0"),
        ("paid", "1 d", "of at least 0, or a timedelta"),
        ("paid", float("nan"), "of at least 0, or a timedelta"),
        ("paid", timedelta(seconds=-1), "of at least 0, or a timedelta"),
    ],
)
@pytest.mark.parametrize("verb", ["receive", "receive_sync"])
async def test_what_cannot_be_waited_for(
    processors: Processors, verb: str, topic: Any, timeout: Any, told: str
) -> None:
    """It is told at the call, and nothing is kept."""

    def wait(context: Context) -> None:
        context.receive_sync(topic, timeout=timeout)

    async def wait_async(context: Context) -> None:
        await context.receive(topic, timeout=timeout)

    processor, _ = await made(processors, order=wait if verb == "receive_sync" else wait_async)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.output is not None
    assert told in str(job.output.error)
    assert job.steps == ()


async def test_the_other_kind_is_named(processors: Processors) -> None:
    """An event loop must not stand still, and a thread has nothing to await with."""

    async def in_a_loop(context: Context) -> list[str]:
        told = []
        for call in (
            lambda: context.receive_sync("paid"),
            lambda: context.sleep_sync(seconds=1),
        ):
            with pytest.raises(InvalidArgumentError) as raised:
                call()
            told.append(str(raised.value))
        return told

    def in_a_thread(context: Context) -> list[str]:
        told = []
        for call in (lambda: context.receive("paid"), lambda: context.sleep(seconds=1)):
            with pytest.raises(InvalidArgumentError) as raised:
                call()
            told.append(str(raised.value))
        return told

    processor, _ = await made(processors, loop=in_a_loop, thread=in_a_thread)
    job = await after_a_run(processor, await processor.schedule_job("loop"))
    assert [
        "await context.receive(…)" in job.result()[0],
        "await context.sleep(…)" in job.result()[1],
    ]
    job = await after_a_run(processor, await processor.schedule_job("thread"))
    assert "context.receive_sync(…)" in job.result()[0]
    assert "context.sleep_sync(…)" in job.result()[1]


async def test_a_name_keeps_its_kind(processors: Processors) -> None:
    """What an earlier run kept under a name is no message of that name."""
    first = True

    async def order(context: Context) -> Any:
        nonlocal first
        if first:
            first = False
            await context.step("paid", lambda: 1)
            raise ValueError
        return await context.receive("paid")

    processor, _ = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    await processor.retry_job(job.id)
    job = await after_a_run(processor, job)
    assert job.output is not None
    assert "allowed is another name: an earlier run kept a step under it" in str(job.output.error)


async def test_beside_node_nothing_is_sent(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its validator refuses what a job needs that waits: both sides are told so."""

    class Node:
        refuses_own_fields = True

    processor, _ = await made(processors, order=order)
    monkeypatch.setattr(type(parts_of(processor).store), "node_side", lambda _: Node())
    with pytest.raises(
        SharedDatabaseError, match=r"message needs a field of a job \(steps, topics\)"
    ):
        await processor.send("paid:42")
