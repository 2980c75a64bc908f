"""Definitions and the registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import CronDef, DefinitionError, JobDef, JobStatus
from job_processor import UnknownJobError as Unknown
from job_processor.handlers.registry import Registry
from tests.processors import Processors

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def handler() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"handler": 3}, "handler"),
        ({"on_job_exited": 3}, "on_job_exited"),
        ({"tag": ""}, "tag"),
        ({"tag": 3}, "tag"),
        ({"resumable": "yes"}, "resumable"),
        ({"exclusive": 1}, "exclusive"),
        ({"retry": 5.5}, "retry"),
        ({"retry": True}, "retry"),
        ({"retry": 0}, "retry"),
        ({"max_runtime_in_minutes": 0}, "max_runtime_in_minutes"),
        ({"max_runtime_in_minutes": -1}, "max_runtime_in_minutes"),
        ({"max_runtime_in_minutes": float("nan")}, "max_runtime_in_minutes"),
    ],
)
def test_a_job_that_cannot_work_is_refused(options: dict[str, Any], argument: str) -> None:
    """Each bad option is refused when it is defined, by its name."""
    with pytest.raises(DefinitionError) as caught:
        JobDef(**{"handler": handler, **options})
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"cron_string": "99 * * * *"}, "cron_string"),
        ({"cron_string": None}, "cron_string"),
        ({"cron_string": 300}, "cron_string"),
        ({"cron_string": "@every 0s"}, "cron_string"),
        ({"cron_string": "@every 5x"}, "cron_string"),
        ({"cron_string": "@every 5m from noon"}, "cron_string"),
        ({"cron_string": "@every 5m from 2026-01-01"}, "cron_string"),
        ({"every": 300}, "every"),
        ({"anchor": NOON}, "anchor"),
        ({"cron_string": None, "every": 0.5}, "every"),
        ({"cron_string": None, "every": 0}, "every"),
        ({"cron_string": None, "every": timedelta(seconds=1.5)}, "every"),
        ({"cron_string": None, "every": timedelta(days=99_999)}, "every"),
        ({"cron_string": None, "every": "5m"}, "every"),
        ({"cron_string": None, "every": True}, "every"),
        ({"cron_string": None, "every": 5, "anchor": datetime(2026, 1, 1)}, "anchor"),  # noqa: DTZ001  # a naive one
        ({"cron_string": None, "every": 5, "anchor": "noon"}, "anchor"),
        ({"cron_string": None, "every": 5, "timezone": "Europe/Paris"}, "timezone"),
        ({"handler": None}, "handler"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"checkin_margin": 0}, "checkin_margin"),
        ({"misfire": "sometimes"}, "misfire"),
        ({"tag": " "}, "tag"),
        ({"handler": lambda a, b, c: None}, "handler"),
    ],
)
def test_a_cron_that_cannot_work_is_refused(options: dict[str, Any], argument: str) -> None:
    """An invalid expression, zone, margin or policy is refused when it is defined."""
    with pytest.raises(DefinitionError) as caught:
        CronDef(**{"cron_string": "* * * * *", "handler": handler, **options})
    assert caught.value.argument == argument


def test_an_interval_says_what_it_means() -> None:
    """A number of seconds, a timedelta and a text mean the same, and so have one fingerprint."""
    given = [
        CronDef(every=300, handler=handler),
        CronDef(
            every=timedelta(minutes=5), handler=handler, anchor=datetime(1970, 1, 1, tzinfo=UTC)
        ),
        CronDef("@every 5m", handler),
    ]
    assert {each.expression for each in given} == {"@every 300s"}
    assert len({each.fingerprint("UTC") for each in given}) == 1
    assert {each.when("Europe/Paris") for each in given} == {"@every 300s"}
    anchored = CronDef(every=300, anchor=NOON, handler=handler)
    assert anchored.expression == "@every 300s from 2026-03-02T12:00:00+00:00"
    assert anchored.fingerprint("UTC") != given[0].fingerprint("UTC")


@pytest.mark.parametrize("given", [300, timedelta(minutes=5)])
def test_an_interval_in_the_place_of_an_expression_is_told_where_it_belongs(given: Any) -> None:
    """The error of a number or a timedelta as `cron_string` shows the line to write."""
    with pytest.raises(DefinitionError, match=r"every=timedelta"):
        CronDef(given, handler)


def test_a_name_is_defined_once() -> None:
    """Two definitions of one name are refused, across jobs and crons too."""
    registry = Registry({"a": JobDef(handler)}, {})
    with pytest.raises(DefinitionError, match="'a'"):
        registry.add_job("a", JobDef(handler))
    with pytest.raises(DefinitionError, match="'a'"):
        registry.add_cron("a", CronDef("* * * * *", handler))
    with pytest.raises(DefinitionError):
        registry.add_job("", JobDef(handler))
    with pytest.raises(DefinitionError):
        registry.add_job("b", handler)  # type: ignore[arg-type]  # that is the bad input


def test_an_unknown_job_names_the_known_ones() -> None:
    """The error for an unknown name asks for the nearest, and lists what is defined: 20 at most."""
    registry = Registry({"resize": JobDef(handler), "mail": JobDef(handler)}, {})
    with pytest.raises(Unknown, match=r"did you mean 'resize'\? .* are: 'mail', 'resize'$"):
        registry.job("resise")
    with pytest.raises(Unknown, match="not allowed; the jobs defined here are: 'mail'"):
        registry.job("charge")
    with pytest.raises(Unknown, match="not allowed; the jobs"):
        registry.job(5)  # type: ignore[arg-type]  # that is the bad input
    many = Registry({f"job{number:02}": JobDef(handler) for number in range(25)}, {})
    with pytest.raises(Unknown, match=r"'job19' and 5 more$"):
        many.job("charge")


def test_a_worker_serves_untagged_definitions_and_its_own_tags() -> None:
    """No tags: all; tags: those without a tag and those with one of them; new ones are seen."""
    registry = Registry(
        {"plain": JobDef(handler), "main": JobDef(handler, tag="main")},
        {"nightly": CronDef("@daily", handler, tag="slave")},
    )
    assert set(registry.served(None)) == {"plain", "main", "nightly"}
    assert set(registry.served(("main",))) == {"plain", "main"}
    registry.add_job("late", JobDef(handler))
    assert set(registry.served(("main",))) == {"plain", "main", "late"}
    assert registry.unknown_tags(("main", "other")) == ["other"]


def test_a_fingerprint_depends_on_expression_and_zone_only() -> None:
    """The hash of a cron changes with what decides when it fires, and with nothing else."""
    one = CronDef("@hourly", handler).fingerprint("UTC")
    assert one == CronDef("0 * * * *", lambda: None, tag="x").fingerprint("UTC")
    assert one == CronDef("@hourly", handler, timezone="UTC").fingerprint("Europe/Paris")
    assert one != CronDef("@hourly", handler).fingerprint("Europe/Paris")
    assert one != CronDef("1 * * * *", handler).fingerprint("UTC")


async def test_a_job_without_a_handler_is_only_scheduled(processors: Processors) -> None:
    """Its process makes such jobs, with their tag and exclusivity, and never claims one."""
    jobs = {"work": JobDef(None, exclusive=True, tag="far"), "mine": JobDef(handler)}
    processor = await processors.make(jobs=jobs)
    assert processor.registry.served(None) == ("mine",)
    assert processor.registry.unknown_tags(("far",)) == []
    first = await processor.schedule_job("work", {"a": 1})
    second = await processor.schedule_job("work", {"a": 2})
    assert (first.status, second.status) == (JobStatus.PENDING, JobStatus.SKIPPED)
    await processor.run_worker(burst=True)
    waiting = await processor.get_job(first.id)
    assert waiting == first
    with pytest.raises(Unknown, match="'work' is not allowed; it has no handler here"):
        await processor.run_job("work")
    with pytest.raises(DefinitionError):
        processor.job("work")(handler)

    elsewhere = await processors.make(jobs={"work": JobDef(handler, exclusive=True, tag="far")})
    await elsewhere.run_worker(burst=True)
    assert (await processor.wait_for_job(first.id)).status is JobStatus.FINISHED
