"""Handlers of each kind that return or raise what they are told, and their jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from job_processor import JobDef
from job_processor.models import Job
from tests.processors import Processors
from tests.worker.probe import ended

ODD = os.fsdecode(b"caf\xe9.txt")
"""A file name as a Latin-1 disk gives it: UTF-8 cannot hold it."""


def in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    async def handler() -> Any:
        return function()

    return handler


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    def handler() -> Any:
        return function()

    return handler


each_kind = pytest.mark.parametrize("kind", [in_loop, in_thread])


async def settled(processors: Processors, handler: Any, **options: Any) -> Job:
    """Return the job of a handler once it has ended; the worker's only slot runs another one."""
    definitions = {"odd": JobDef(handler, **options), "next": JobDef(lambda: "ran")}
    processor, worker = await processors.start(jobs=definitions, concurrency=1)
    job = await ended(processor, await processor.schedule_job("odd"))
    following = await ended(processor, await processor.schedule_job("next"))
    assert (following.result(), worker.task.done()) == ("ran", False)
    return job


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


def hook_of(error: BaseException) -> Callable[[Any], Any]:
    return lambda _: raising(error)()
