"""Which argument each parameter of a handler gets."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar, Protocol

import pytest

from job_processor import (
    AbortSignal,
    Context,
    CronTask,
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    SimpleJob,
)
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
        "not a function",
        None,
    ],
)
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    """A third positional parameter without an annotation, no callable: refused."""
    with pytest.raises(DefinitionError, match="handler"):
        bind_handler(function, JOB)


NAMED = Door()
NAMED_CRON = Door(takes_fields=False)


def fields_of(function: Callable[..., Any], door: Door) -> tuple[str, ...] | None:
    fields = bind_handler(function, door).fields
    return None if fields is None else fields.parameters


def by_class(
    task: SimpleJob, stop: AbortSignal, to: str, more: Context | None = None
) -> tuple[Any, ...]:
    return task, stop, to, more


def unresolved(stop: missing.AbortSignal, to: str) -> tuple[Any, ...]:  # type: ignore[name-defined]  # noqa: F821  # what is tested
    return stop, to


class Seen(Protocol):
    attempt: int


@pytest.mark.parametrize(
    ("function", "door", "expected"),
    [
        (lambda a, b=2: 1, NAMED, ("a", "b")),
        (lambda _job, _signal, a: 1, NAMED, ("a",)),
        (lambda _job, _signal: 1, NAMED, None),
        (lambda job, **others: 1, NAMED, ("others",)),
        (lambda *args: 1, NAMED, None),
        (lambda payload, a=1: 1, NAMED, None),
        (by_class, NAMED, ("to",)),
        (by_class, JOB, ("to",)),
        (unresolved, NAMED, ("to",)),
        (lambda a, b: 1, JOB, None),
        (lambda a, b=2: 1, JOB, None),
        (lambda a=1: 1, NAMED_CRON, None),
    ],
)
def test_what_is_a_field(function: Any, door: Door, expected: object) -> None:
    """All that no name and no class fills, where there is a payload and no place fills it."""
    assert fields_of(function, door) == expected


def test_classes_fill_under_any_name() -> None:
    """What is annotated as a job, a signal or a context gets it, beside fields."""

    class Job:
        payload: ClassVar[Any] = {"to": "ada"}

    arguments, keywords = bind_handler(by_class, NAMED).arguments(Job, "signal", "context")
    assert by_class(*arguments, **keywords) == (Job, "signal", "ada", "context")
    assert bind_handler(by_class, NAMED).wants_context


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        ("str", "job"),
        ("int", "signal"),
        ("dict", "context"),
        ("str", "payload"),
        ("Context", "job"),
    ],
)
def test_a_name_that_stands_for_something_else_is_refused(annotation: str, name: str) -> None:
    """A field may not be named as what a handler can ask for."""
    names: dict[str, Any] = {"Context": Context}
    exec(f"def handler({name}: {annotation}): ...", names)  # noqa: S102  # a line for each case
    for door in (NAMED, JOB):
        with pytest.raises(DefinitionError, match=f"{name}: .*gets the {name}"):
            bind_handler(names["handler"], door)


@pytest.mark.parametrize(
    "annotation", [Any, object, Seen, SimpleJob | CronTask, "SimpleJob | None"]
)
def test_what_a_job_may_be_annotated_with(annotation: Any) -> None:
    """Its classes, and what says nothing against them."""

    def handler(job: Any) -> Any:
        return job

    handler.__annotations__["job"] = annotation
    assert bind_handler(handler, NAMED).positional == ("job",)


@pytest.mark.parametrize(
    ("function", "door", "told"),
    [
        (lambda payload, to: 1, NAMED, "'to' cannot be filled; it takes the whole payload"),
        (lambda to: 1, NAMED_CRON, "'to' cannot be filled; a cron has no payload"),
        (lambda *, to: 1, NAMED_CRON, "a cron has no payload"),
        (by_class, CRON, "'to' cannot be filled; a cron has no payload"),
    ],
)
def test_what_cannot_be_filled_is_refused(function: Any, door: Door, told: str) -> None:
    """Where it is defined, with the reason."""
    with pytest.raises(DefinitionError, match=told):
        bind_handler(function, door)


def test_filling_by_position_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """It is a convention of the Node package, and nothing else is."""
    with caplog.at_level(logging.WARNING, "job_processor"):
        JobDef(named)
        assert caplog.text == ""
        JobDef(positional)
    assert "positional: 'a' gets the job, 'b' gets the signal, by position" in caplog.text


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
