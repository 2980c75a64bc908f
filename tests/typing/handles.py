"""What type checkers say about handles; an error that is expected is marked where it is.

A mark that is not needed is an error, too, so both ways are checked. Nothing here is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from job_processor import (
    AbortSignal,
    Context,
    JobDef,
    JobHandle,
    JobProcessor,
    JobRequest,
    SimpleJob,
)

processor = JobProcessor("sqlite://")


class Model(BaseModel):
    """A model of pydantic."""

    width: int


@dataclass
class Data:
    """A dataclass."""

    width: int


class Typed(TypedDict):
    """A TypedDict."""

    width: int


@processor.job()
async def only(payload: Model) -> int:
    """Take a payload."""
    return payload.width


@processor.job("other", tag="heavy")
def any_order(context: Context, payload: Data, signal: AbortSignal) -> None:
    """Take it somewhere among others."""


@processor.job(retry=3)
async def everything(job: SimpleJob, payload: Typed, signal: AbortSignal, context: Context) -> None:
    """Take all there is."""


@processor.job()
async def optional(payload: Model | None, job: SimpleJob) -> None:
    """Take one or none."""


@processor.job()
async def untyped(job: SimpleJob, signal: AbortSignal) -> None:
    """Take no payload by name."""


@processor.job()
async def mapping(payload: Mapping[str, Any]) -> None:
    """Take any mapping."""


async def right() -> None:
    """Schedule as one should."""
    assert_type((await only.schedule(Model(width=1))).result(), int)
    assert_type((await only.run(Model(width=1))).result(), int)
    assert_type((await any_order.wait(await any_order.schedule(Data(1)))).result(), None)
    assert_type(await only(Model(width=1)), int)
    job: SimpleJob = await only.schedule(Model(width=1))
    handle: JobHandle[..., Any] = only
    await handle.wait(job)
    await any_order.schedule(Data(1), timedelta(hours=1), 3, unique_key="k")
    await everything.schedule({"width": 1})
    await optional.schedule(None)
    await optional.schedule(Model(width=1))
    await untyped.schedule()
    await untyped.schedule({"any": 1}, on_conflict="replace", unique_key="k")
    await mapping.schedule({"any": 1})
    await only.run(Model(width=1))
    await processor.schedule_job("only", Model(width=1))
    await processor.schedule_job("other", Data(1))
    await processor.schedule_jobs([("other", Data(1)), JobRequest("only", Model(width=1)), "plain"])
    await processor.schedule_jobs([only.request(Model(width=1)), untyped.request()])
    await only.options(priority=3).schedule(Model(width=1))
    await only.schedule_many([Model(width=1)])
    only.schedule_sync(Model(width=1))
    JobDef(any_order.handler, executor="process")


async def in_a_flow() -> None:
    """What is added by a handle knows what its handler returns."""
    flow = processor.flow("import")
    first = flow.add(only, Model(width=1))
    assert_type((await only.wait(first)).result(), int)
    parts = flow.add_many(only, [Model(width=1)], after=first, on_parent_failure="run")
    assert_type([each.result() for each in parts], list[int])
    job: SimpleJob = flow.add(only.request(Model(width=1)), after=[first, *parts])
    flow.add("only", {"width": 1}, after=job, priority=3, labels=["a"])
    await flow.start()
    await processor.chain(only.request(Model(width=1)), untyped, ("only", {"width": 2})).start()
    after = await only.options(after=first).schedule(Model(width=1))
    assert_type(after.result(), int)


async def wrong_in_a_flow() -> None:
    """What no flow takes is told where it is written."""
    flow = processor.flow("import")
    flow.add(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    flow.add("only", session=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    flow.add(only, often=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    flow.add_many("only", 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def wrong() -> None:
    """Schedule as one should not."""
    await only.schedule()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await only.schedule({"width": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await only.schedule(Data(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await any_order.schedule(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await everything.schedule({"height": 1})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
    await optional.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await untyped.schedule(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    only.request(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    only.schedule_sync()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await only.schedule(Model(width=1), "now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await processor.schedule_job("only", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
