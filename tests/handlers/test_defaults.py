"""Options of a processor that hold where a definition says nothing else."""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest

from job_processor import (
    CronDef,
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    JobOptions,
    JobProcessor,
    Jobs,
    Retry,
)


def nothing() -> None: ...


def around_all(job: Any) -> Any:
    return nullcontext()


def around_one(job: Any) -> Any:
    return nullcontext()


def test_they_hold_for_all_doors() -> None:
    """Of decorators, mappings and collections, jobs and crons alike."""
    jobs = Jobs()
    jobs.job("collected")(nothing)
    processor = JobProcessor(
        "sqlite://",
        jobs=[{"mapped": JobDef(nothing)}, jobs],
        crons={"cron": CronDef("* * * * *", nothing)},
        defaults=JobOptions(retry=4, max_runtime=timedelta(minutes=2), tag="t", exclusive=True),
    )
    processor.job("decorated")(nothing)
    processor.cron("* * * * *", "decorated cron")(nothing)
    registry = processor.registry
    every: list[JobDef | CronDef] = [*registry.jobs.values(), *registry.crons.values()]
    for definition in every:
        assert definition.retries == Retry(max_attempts=4)
        assert (definition.limit_seconds, definition.tag, definition.exclusive) == (120, "t", True)
    assert len(every) == 5


def test_what_a_definition_says_stays() -> None:
    """Be it the same as if it said nothing: no retry, no tag, no limit."""
    processor = JobProcessor(
        "sqlite://",
        jobs={
            "by name": JobDef(nothing, retry=None, tag=None, max_runtime_in_minutes=None),
            "by position": JobDef(nothing, None, False, None, False, None, None),
        },
        defaults=JobOptions(retry=4, tag="t", max_runtime=60, exclusive=True),
    )
    processor.job("decorated", retry=None, tag=None, max_runtime_in_minutes=None)(nothing)
    for definition in processor.registry.jobs.values():
        assert (definition.retries, definition.tag, definition.limit_seconds) == (None, None, None)
    assert processor.registry.jobs["by name"].exclusive
    assert not processor.registry.jobs["by position"].exclusive


def test_the_definition_itself_is_not_changed() -> None:
    """Another processor may have other defaults for it."""
    definition = JobDef(nothing)
    for number in (2, 3):
        processor = JobProcessor(
            "sqlite://", jobs={"a": definition}, defaults=JobOptions(retry=number)
        )
        assert processor.registry.jobs["a"].retries == Retry(max_attempts=number)
    assert definition.retries is None


def test_what_stands_around() -> None:
    """That of the processor outside of that of a definition; a default is replaced by its own."""
    jobs = {"one": JobDef(nothing, around=around_one), "none": JobDef(nothing)}
    all_of_them = JobProcessor("sqlite://", jobs=jobs, around=around_all).registry.jobs
    assert all_of_them["one"].arounds == (around_all, around_one)
    assert all_of_them["none"].arounds == (around_all,)
    defaults = JobOptions(around=around_all)
    default = JobProcessor("sqlite://", jobs=jobs, defaults=defaults).registry.jobs
    assert default["one"].arounds == (around_one,)
    assert default["none"].arounds == (around_all,)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"defaults": {"retri": 3}}, "write retry="),
        ({"defaults": {"timezone": "UTC"}}, "its options are"),
        ({"defaults": 3}, r"write|allowed are options: JobOptions\(retry=3"),
        ({"defaults": {"retry": "x"}, "jobs": {"a": JobDef(nothing)}}, "retry: 'x'"),
        ({"around": 3}, "around: .*write @asynccontextmanager"),
        (
            {"around": lambda job: None, "jobs": {"a": JobDef(nothing, executor="process")}},
            "around: .*at the top of a module",
        ),
    ],
)
def test_wrong_defaults_are_refused(options: dict[str, Any], told: str) -> None:
    """When the processor is made, with the option."""
    with pytest.raises(InvalidArgumentError, match=told):
        JobProcessor("sqlite://", **options)


def test_a_generator_is_nothing_to_enter() -> None:
    """The decorator that makes a context manager of it is easily forgotten."""

    async def bare(job: Any) -> Any:
        yield

    with pytest.raises(DefinitionError, match="write @asynccontextmanager"):
        JobDef(nothing, around=bare)
    assert JobDef(nothing, around=asynccontextmanager(bare)).arounds
