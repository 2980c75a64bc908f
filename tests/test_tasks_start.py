"""Tasks that are started, as `create_task` does it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, cast

from job_processor.tasks import start_task


async def test_it_is_a_task_of_this_loop_with_a_name() -> None:
    """Its coroutine finds itself in it, and its result and its failure come out of it."""

    async def current() -> asyncio.Task[Any] | None:
        return asyncio.current_task()

    async def fails() -> None:
        raise LookupError("no")

    task, failed = start_task(current(), "resize"), start_task(fails(), "send")
    await asyncio.wait([task, failed])
    assert task.get_name() == "resize"
    assert task.result() is task
    assert isinstance(failed.exception(), LookupError)


async def test_it_begins_at_once_where_python_can_do_that() -> None:
    """From 3.12 on; before, in the next turn of the loop."""
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()

    task = start_task(begin(), "resize")
    assert begun.is_set() == (sys.version_info >= (3, 12))
    await task
    assert begun.is_set()


async def test_the_factory_of_the_loop_makes_it() -> None:
    """Where an application has set one."""
    loop, made = asyncio.get_running_loop(), list[object]()

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(cast("Any", factory))
    try:
        await start_task(asyncio.sleep(0), "resize")
    finally:
        loop.set_task_factory(None)
    assert len(made) == 1
