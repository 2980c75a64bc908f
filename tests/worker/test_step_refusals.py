"""What is no step, or cannot be kept, is refused in the handler, with what to write instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from job_processor import (
    Context,
    DefinitionError,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    PayloadError,
    Retry,
    SharedDatabaseError,
)
from job_processor.settings import STEPS_BYTES
from job_processor.store import Store
from tests.insides import put_store, store_of
from tests.processors import Processors


async def settled(processor: JobProcessor, name: str) -> Job:
    """Run a job of this name to its end, and return it."""
    job = await processor.schedule_job(name)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


async def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("name", "function", "retry", "told"),
    [
        ("", nothing, None, "name: '' is not allowed; allowed is a str of 1 to 200 characters"),
        ("x" * 201, nothing, None, "1 to 200 characters"),
        (5, nothing, None, "1 to 200 characters"),
        ("\ud800", nothing, None, "lone surrogates"),
        ("charge", None, None, r"not called yet: context\.step\('charge', charge, 5\)"),
        ("charge", nothing, 0, "at least 1"),
        ("charge", nothing, "3", "a Retry, a number of attempts"),
    ],
)
async def test_what_is_no_step(
    processors: Processors, name: Any, function: Any, retry: Any, told: str
) -> None:
    """Of either kind of handler."""

    async def order(context: Context) -> str:
        with pytest.raises(InvalidArgumentError, match=told):
            await context.step(name, function, retry=retry)
        return "refused"

    def plain(context: Context) -> str:
        plainly: Any = None if function is None else print
        with pytest.raises(InvalidArgumentError, match=told.replace("step", "step.*", 1)):
            context.step_sync(name, plainly, retry=retry)
        return "refused"

    processor = await processors.make(jobs={"order": JobDef(order), "plain": JobDef(plain)})
    for each in ("order", "plain"):
        job = await settled(processor, each)
        assert (job.result(), job.steps) == ("refused", ())


async def test_the_other_kind_of_step_is_named(processors: Processors) -> None:
    """A plain handler cannot await, and an async one must not block."""
    told: list[str] = []

    def refused(call: Callable[..., Any], *arguments: Any) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            call(*arguments)
        told.append(caught.value.allowed)

    async def order(context: Context) -> None:
        refused(context.step_sync, "charge", print)

    def plain(context: Context) -> None:
        refused(context.step, "charge", print)
        refused(context.step_sync, "charge", nothing)

    processor = await processors.make(jobs={"order": JobDef(order), "plain": JobDef(plain)})
    for each in ("order", "plain"):
        (await settled(processor, each)).result()
    assert told == [
        "allowed in an async handler is await context.step('charge', …)",
        "allowed in a sync handler is context.step_sync('charge', …)",
        "allowed in an async handler is await context.step('charge', …)",
    ]


async def test_a_step_has_no_steps(processors: Processors) -> None:
    """It would be done again as a whole; a handler that it runs elsewhere has its own."""

    async def inner(context: Context) -> int:
        return await context.step("charge", lambda: 5)

    async def order(context: Context) -> int:
        async def outer() -> int:
            with pytest.raises(InvalidArgumentError, match="the step 'outer' is not done yet"):
                await context.step("charge", nothing)
            with pytest.raises(InvalidArgumentError, match="the step 'outer' is not done yet"):
                await context.sleep(hours=1)
            job = await processor.run_job("inner")
            return int(job.result())

        with pytest.raises(InvalidArgumentError, match="ask for it in the function of a step"):
            context.step_key  # noqa: B018  # it is to raise
        return await context.step("outer", outer)

    processor = await processors.make(jobs={"order": JobDef(order), "inner": JobDef(inner)})
    job = await settled(processor, "order")
    assert job.result() == 5, job.output
    assert [step.name for step in job.steps] == ["outer"]


@pytest.mark.parametrize(
    ("result", "error", "told"),
    [
        (object(), PayloadError, "result of the step 'make': <a object> is not allowed"),
        ({"secret": {1: 2}}, PayloadError, "result of the step 'make'.secret"),
        ((n for n in range(3)), DefinitionError, "it returned a generator"),
    ],
)
async def test_what_cannot_be_kept(
    processors: Processors, result: Any, error: type[Exception], told: str
) -> None:
    """Is told of the step, without its value; the step is done again by the next run."""
    calls = 0

    async def order(context: Context) -> str:
        def make() -> Any:
            nonlocal calls
            calls += 1
            return result if context.attempt == 1 else "good"

        if context.attempt == 1:
            with pytest.raises(error, match=told):
                await context.step("make", make)
            raise ValueError("once more")
        return await context.step("make", make)

    processor = await processors.make(jobs={"order": JobDef(order, retry=Retry(2, delay=0))})
    assert (await settled(processor, "order")).result() == "good"
    assert calls == 2


async def test_all_steps_together_have_a_limit(processors: Processors) -> None:
    """Across runs; the message says where to keep the rest, and what fits still does."""
    most = STEPS_BYTES // 2

    async def order(context: Context) -> str:
        await context.step("a", lambda: "x" * most)
        if context.attempt == 1:
            raise ValueError("once more")
        with pytest.raises(
            PayloadError, match=r"1,000,000 bytes of all steps.*elsewhere"
        ) as caught:
            await context.step("b", lambda: "secret" * (most // 6))
        assert "secret" not in str(caught.value)
        return await context.step("c", lambda: "small")

    processor = await processors.make(jobs={"order": JobDef(order, retry=Retry(2, delay=0))})
    job = await settled(processor, "order")
    assert job.result() == "small", job.output
    assert [step.name for step in job.steps] == ["a", "c"]


async def test_a_name_keeps_its_kind(processors: Processors) -> None:
    """What was a step is not slept, nor the other way round: the code has changed in between."""

    async def order(context: Context) -> str:
        if context.attempt == 1:
            await asyncio.gather(context.step("a", nothing), context.sleep("b", seconds=0))
            raise ValueError("once more")
        with pytest.raises(InvalidArgumentError, match="an earlier run kept a step under it"):
            await context.sleep("a", hours=1)
        with pytest.raises(InvalidArgumentError, match="an earlier run kept a sleep under it"):
            await context.step("b", nothing)
        return "refused"

    processor = await processors.make(jobs={"order": JobDef(order, retry=Retry(2, delay=0))})
    job = await settled(processor, "order")
    assert job.result() == "refused", job.output


class BesideNode:
    """A store on whose database the Node package's validator stands since a moment ago."""

    refuses_own_fields = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return self if name == "node_side" else getattr(self._store, name)

    def __call__(self) -> Any:
        """Return the side of the Node package."""
        return self


async def test_beside_node_no_step_is_done(processors: Processors) -> None:
    """Before its function runs it is refused, with how to go on: nothing could be kept of it."""
    called: list[str] = []

    async def order(context: Context) -> str:
        with pytest.raises(SharedDatabaseError, match="migrate-from-node --apply"):
            await context.step("charge", called.append, "charged")
        return "refused"

    processor = await processors.make(jobs={"order": JobDef(order)})
    put_store(processor, BesideNode(store_of(processor)))  # type: ignore[arg-type]  # it hands on
    job = await processor.run_job("order")
    assert (job.result(), called) == ("refused", [])
