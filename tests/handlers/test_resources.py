"""Who asks for resources, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import date
from functools import partial
from typing import Any, Literal, cast

import pytest

from job_processor import (
    AbortSignal,
    Context,
    CronDef,
    DefinitionError,
    JobDef,
    JobProcessor,
    Jobs,
    NotSetUpError,
    init_job_processor,
)
from job_processor.handlers.abort import AbortController
from job_processor.handlers.resources import asking
from tests.samples import simple


class Opened:
    """What a process opens."""


@asynccontextmanager
async def opened(processor: Any) -> Any:
    """Open nothing, for tests."""
    yield Opened()


async def takes(resources: Opened, to: str = "ada") -> str:
    """Take resources."""
    return to


async def fires(resources: Any) -> None:
    """Take them in a cron."""


def around_with(job: Any, resources: Any) -> Any:
    """Take them around a handler."""
    return nullcontext()


def hook_with(job: Any, *, resources: Any) -> None:
    """Take them after a job."""


def nothing() -> None:
    """Do nothing."""


def by_position(resources, job, /, signal):  # type: ignore[no-untyped-def]  # as some write it
    """Take them by position."""


@pytest.mark.parametrize(
    ("handler", "fields"),
    [
        (takes, ["to"]),
        (lambda resources: None, []),
        (lambda to, resources=None: None, ["to"]),
        (lambda payload, resources: None, []),
        (lambda job, signal, context, resources: None, []),
        (by_position, []),
    ],
)
def test_a_parameter_of_that_name_gets_them(handler: Callable[..., Any], fields: list[str]) -> None:
    """Wherever it stands among the others; it is no field of the payload."""
    processor = JobProcessor("sqlite://")
    processor.job("takes")(handler)
    bound = processor.registry.jobs["takes"].bound
    assert bound.wants_resources
    assert [*(bound.fields.parameters if bound.fields else ())] == fields
    job = simple(payload={"to": "ada"} if fields else {})
    signal, value = AbortController().signal, Opened()
    positional, keywords = bound.arguments(job, signal, "context", value)
    assert value in (*positional, *keywords.values())


@pytest.mark.parametrize(
    "annotation", [Opened, Any, dict[str, Any], tuple[int, str], Opened | None, "Later", type(None)]
)
def test_it_may_be_annotated_as_one_likes(annotation: Any) -> None:
    """Its class is the application's."""

    def handler(resources: Any) -> None: ...

    handler.__annotations__["resources"] = annotation
    assert JobDef(handler).bound.wants_resources


@pytest.mark.parametrize(
    "annotation",
    [str, int, list[str], date, str | None, Literal["a"], Context, AbortSignal],
)
def test_a_field_of_that_name_is_refused(annotation: Any) -> None:
    """Where its annotation tells that a field is meant: it would never get that."""

    def handler(resources: Any) -> None: ...

    handler.__annotations__["resources"] = annotation
    with pytest.raises(DefinitionError, match="gets the resources; give the field another name"):
        JobDef(handler)


def test_around_and_hooks_ask_by_the_same_name() -> None:
    """A job is all that the others get."""
    kept = asking(around_with, hook_with, nothing, None, print, partial(around_with, 1))
    assert kept[:2] == (around_with, hook_with)
    assert len(kept) == 3  # a partial of one that asks, asks
    definition = JobDef(nothing, around=around_with, on_job_exited=hook_with)
    assert definition.asking == (around_with, hook_with)
    whole = JobProcessor("sqlite://", jobs={"a": definition}, around=around_with)
    assert whole.registry.jobs["a"].asking == (around_with, around_with, hook_with)


@pytest.mark.parametrize(
    ("lifespan", "told"),
    [
        (3, "write @asynccontextmanager"),
        ("app.opened", "write @asynccontextmanager"),
        (opened.__wrapped__, "write @asynccontextmanager"),  # type: ignore[attr-defined]  # it has
        (nothing, "too many positional arguments"),
        (opened(None), "give the function, and do not call it"),
        (contextmanager(lambda: iter([1])), "too many positional arguments"),
    ],
)
def test_a_wrong_lifespan_is_refused(lifespan: Any, told: str) -> None:
    """As the processor is made or changed, with the line to write; `around` in the same way."""
    with pytest.raises(DefinitionError, match=rf"lifespan: .*function of the processor.*{told}"):
        JobProcessor("sqlite://", lifespan=lifespan)
    with pytest.raises(DefinitionError, match="lifespan: "):
        JobProcessor("sqlite://").override(lifespan=lifespan)
    with pytest.raises(DefinitionError, match=rf"around: .*function of the job.*{told}"):
        JobDef(nothing, around=lifespan)


_WRITE = r"write JobProcessor\(…, lifespan=opened\).*@asynccontextmanager"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"jobs": {"send": JobDef(takes)}}, "the handler of 'send' takes resources"),
        ({"crons": {"fire": CronDef("@daily", fires)}}, "the handler of 'fire' takes resources"),
        (
            {"jobs": {"send": JobDef(nothing, around=around_with)}},
            "around of 'send' takes resources",
        ),
        (
            {"jobs": {"send": JobDef(nothing)}, "around": around_with},
            "around of 'send' takes resources",
        ),
        (
            {"jobs": {"send": JobDef(nothing, on_job_exited=hook_with)}},
            "on_job_exited of 'send' takes resources",
        ),
    ],
)
async def test_without_a_lifespan_it_is_not_set_up(options: dict[str, Any], told: str) -> None:
    """Whoever asks is named, with the line to write; `check` says so, too."""
    with pytest.raises(DefinitionError, match=f"lifespan: None .*{told}: {_WRITE}"):
        await init_job_processor("sqlite://", **options)
    findings = await JobProcessor("sqlite://", **options).check()
    assert all(each.advice for each in findings if each.level != "ok")
    assert any(each.level == "error" and told in each.text for each in findings)
    async with JobProcessor("sqlite://", lifespan=opened, **options) as processor:
        assert [name for name, _ in processor.registry]


async def test_what_comes_later_is_refused_at_once() -> None:
    """By the decorator of a processor that is set up, or of a collection of it."""
    jobs = Jobs()
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        for define in (processor.job, jobs.job):
            with pytest.raises(DefinitionError, match="the handler of 'takes' takes resources"):
                define(takes)
        assert not processor.registry.jobs
        JobProcessor("sqlite://", jobs={"elsewhere": JobDef(None)})


@pytest.mark.parametrize("handler", [takes, nothing])
async def test_a_process_needs_to_find_the_lifespan(handler: Callable[..., Any]) -> None:
    """A handler in a process that asks needs one at the top of a module; the others need none."""
    jobs = {"a": JobDef(handler, executor="process")}
    processor = JobProcessor("sqlite://", jobs=jobs, lifespan=lambda _: nullcontext())
    if handler is nothing:
        await processor.setup()
    else:
        with pytest.raises(DefinitionError, match=r"lifespan: .*at the top of a module"):
            await processor.setup()
    await processor.close()


def test_a_process_does_not_find_the_method_of_an_object() -> None:
    """By its name it would find that of the class."""

    class Handlers:
        def method(self) -> None: ...

        @classmethod
        def of_class(cls) -> None: ...

    Handlers.__qualname__ = "Handlers"
    Handlers.method.__qualname__ = "Handlers.method"
    Handlers.of_class.__func__.__qualname__ = "Handlers.of_class"  # type: ignore[attr-defined]  # it has
    JobDef(Handlers.of_class, executor="process")
    with pytest.raises(DefinitionError, match="at the top of a module"):
        JobDef(Handlers().method, executor="process")


def test_a_context_without_resources_says_what_to_write() -> None:
    """Also where no lifespan is given."""
    context = Context(simple(), AbortController().signal, None, cast("Any", None))
    with pytest.raises(NotSetUpError, match=_WRITE):
        _ = context.resources
