"""Tasks for the tests; imported once Django is set up. No app has this module: workers are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import django

from job_processor import Retry, RetryLater
from job_processor.integrations.django.tasks.interface import TaskResult
from job_processor.integrations.django.tasks.task import JobTask

try:
    from django.tasks import task
except ModuleNotFoundError:
    from django_tasks import task  # type: ignore[no-redef]  # the same before Django 6

plain: Any = task
"""The decorator, which takes our options as well; its types do not say so."""


def with_options(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a task with options of ours, which the decorator of Django 6.0 does not take."""
    if django.VERSION[:2] != (6, 0):
        decorated: Callable[[Callable[..., Any]], Any] = plain(**options)
        return decorated
    usual: dict[str, Any] = {
        "priority": 0,
        "backend": "default",
        "queue_name": "default",
        "run_after": None,
    }
    return lambda function: JobTask(func=function, **usual, **options)


began = threading.Event()
may_end = threading.Event()


class RefusedError(Exception):
    """An exception of the application."""


@task()
def noop(*args: Any, **kwargs: Any) -> None: ...


@task
def bare(*args: Any, **kwargs: Any) -> None: ...


@task()
async def noop_async(*args: Any, **kwargs: Any) -> None: ...


@task()
def answer() -> int:
    return 42


@task()
def echo(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


@task()
async def echo_async(*args: Any, **kwargs: Any) -> list[Any]:
    await asyncio.sleep(0)
    return [list(args), kwargs]


@task()
def refuse() -> None:
    raise ValueError("refused by a ValueError")


@task()
async def refuse_async() -> None:
    raise RefusedError("refused by one of ours")


@task()
def leave() -> None:
    raise SystemExit("refused by a SystemExit")


@task()
def refuse_nested() -> None:
    raise ValueError(ValueError("inside"))


@task()
def unstorable() -> Any:
    return lambda: True


@task(takes_context=True)
def own_id(context: Any) -> str:
    result: TaskResult = context.task_result
    return result.id


@task(takes_context=True)
async def attempt_async(context: Any, add: int) -> int:
    attempt: int = context.attempt
    return attempt + add


@task(takes_context=True)
def hold(context: Any) -> str:
    context.run.progress(0.5, "half")
    began.set()
    while not may_end.wait(0.01):
        context.run.signal.raise_if_aborted()
    status: str = context.task_result.status
    return status


@with_options(takes_context=True, retry=Retry(3, delay=0))
def second_time(context: Any) -> int:
    if context.attempt == 1:
        raise RefusedError("not the first time")
    attempt: int = context.attempt
    return attempt


@with_options(retry=Retry(2, delay=0))
def always() -> None:
    raise RefusedError("never")


@task()
def later() -> None:
    raise RetryLater("later: not yet", delay=3600)


@with_options(exclusive=True)
def alone() -> None: ...


@with_options(executor="process")
def process_id() -> int:
    import os  # noqa: PLC0415  # it is this task's alone

    return os.getpid()


@with_options(unique_key=lambda order: f"order-{order}", unique_for=60)
def once(order: int) -> int:
    return order
