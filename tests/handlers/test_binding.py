"""Which argument each parameter of a handler gets."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from job_processor import DefinitionError, InvalidArgumentError, JobDef
from job_processor.events import EventBus
from job_processor.handlers.binding import Door, bind_handler

JOB = Door(("job", "signal"))
CRON = Door(("signal", "job"), takes_fields=False)


class Given:
    """Stands for a job: it has a payload."""

    payload = "the payload"


def call(function: Callable[..., Any], door: Door) -> Any:
    arguments, keywords = bind_handler(function, door).arguments(GIVEN, "the signal")
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
    ("function", "door", "expected"),
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
    function: Callable[..., Any], door: Door, expected: object
) -> None:
    """Named ones get what they name, other required ones their position's, defaults stay."""
    assert call(function, door) == expected


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


class _Rows:
    """Handlers that make generators, in the shapes that a handler may have."""

    def method(self) -> Iterator[int]:
        yield 1

    async def async_method(self) -> AsyncIterator[int]:
        yield 1

    def __call__(self) -> Iterator[int]:
        yield 1


def rows(payload: Any) -> Iterator[int]:
    yield 1


async def async_rows(payload: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    "function",
    [
        rows,
        async_rows,
        functools.partial(rows, None),
        functools.partial(functools.partial(async_rows, None)),
        _Rows().method,
        _Rows().async_method,
        functools.partial(_Rows().method),
        _Rows(),
    ],
)
def test_a_generator_is_no_handler(function: Any) -> None:
    """A function with a yield, whose call would run nothing, is refused with what to do."""
    with pytest.raises(DefinitionError, match=r"it has a yield.*context\.progress"):
        bind_handler(function, JOB)
    with pytest.raises(DefinitionError, match="it has a yield"):
        JobDef(lambda: None, on_job_exited=function)
    with pytest.raises(InvalidArgumentError):
        EventBus(logging.getLogger()).listen(function)


def test_a_decorated_generator_that_is_run_is_a_handler() -> None:
    """What counts is the function that is called, not what it wraps."""

    @functools.wraps(rows)
    def all_rows(payload: Any) -> list[int]:
        return list(rows(payload))

    assert call(all_rows, JOB) == [1]


class _AsyncCall:
    async def __call__(self) -> None: ...


def test_what_is_async() -> None:
    """Partials, methods and objects are as async as what they call."""
    both: list[Any] = [_AsyncCall(), functools.partial(_AsyncCall()), _AsyncCall().__call__]
    assert [bind_handler(each, JOB).is_async for each in both] == [True] * 3
    assert not bind_handler(_AsyncCall, JOB).is_async  # a class: its call makes an object
