"""Which argument each parameter of a handler gets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from job_processor import DefinitionError
from job_processor.handlers import Argument, bind_handler

JOB: tuple[Argument, ...] = ("job", "signal")
CRON: tuple[Argument, ...] = ("signal", "job")


class Given:
    """Stands for a job: it has a payload."""

    payload = "the payload"


def call(function: Callable[..., Any], by_position: tuple[Argument, ...]) -> Any:
    arguments, keywords = bind_handler(function, by_position).arguments(GIVEN, "the signal")
    return function(*arguments, **keywords)


GIVEN = Given()


def named(payload, signal, job):  # type: ignore[no-untyped-def]
    return payload, signal, job


def positional(a, b):  # type: ignore[no-untyped-def]
    return a, b


def mixed(payload, other):  # type: ignore[no-untyped-def]
    return payload, other


def with_default(a, retries=3, *, signal):  # type: ignore[no-untyped-def]
    return a, retries, signal


def behind_default(a, retries=3, payload=None):  # type: ignore[no-untyped-def]
    return a, retries, payload


def everything(*args, **kwargs):  # type: ignore[no-untyped-def]
    return args, kwargs


def named_job_first(job, other):  # type: ignore[no-untyped-def]
    return job, other


@pytest.mark.parametrize(
    ("function", "by_position", "expected"),
    [
        (named, JOB, ("the payload", "the signal", GIVEN)),
        (positional, JOB, (GIVEN, "the signal")),
        (positional, CRON, ("the signal", GIVEN)),
        (mixed, JOB, ("the payload", "the signal")),
        (with_default, JOB, (GIVEN, 3, "the signal")),
        (behind_default, JOB, (GIVEN, 3, "the payload")),
        (everything, JOB, ((GIVEN, "the signal"), {})),
        (named_job_first, CRON, (GIVEN, "the signal")),
        (lambda: "nothing", JOB, "nothing"),
        (lambda only: only, CRON, "the signal"),
    ],
)
def test_parameters_are_filled_by_name_then_by_position(
    function: Callable[..., Any], by_position: tuple[Argument, ...], expected: object
) -> None:
    """Named ones get what they name, other required ones their position's, defaults stay."""
    assert call(function, by_position) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, c: None,
        lambda *, other: None,
        "not a function",
        None,
    ],
)
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    """A third positional parameter, a required keyword of another name, no callable: refused."""
    with pytest.raises(DefinitionError, match="handler"):
        bind_handler(function, JOB)


def test_async_is_seen_through_partials_and_objects() -> None:
    """A partial of an async function, and an object whose call is async, run in the loop."""

    async def handler(job: object, extra: int = 1) -> None: ...

    class Called:
        async def __call__(self, payload: object) -> None: ...

    assert bind_handler(handler, JOB).is_async
    assert bind_handler(functools.partial(handler, extra=2), JOB).is_async
    assert bind_handler(Called(), JOB).is_async
    assert not bind_handler(lambda: None, JOB).is_async
