"""Limits as they are defined: what is allowed, what a key becomes, and what is said of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    CronDef,
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobRequest,
    Limit,
)
from job_processor.handlers.lanes import group_of, has_key, lane_name
from job_processor.handlers.registry import Registry
from job_processor.models import Lane


async def handle(payload: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, "3", None])
def test_an_amount_is_a_whole_number_of_at_least_one(amount: Any) -> None:
    """Another amount is refused where it is given, with its value."""
    with pytest.raises(InvalidArgumentError, match=re.escape(f"limit: {amount!r}")):
        Limit(amount)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"key": ""}, "key"),
        ({"key": 3}, "key"),
        ({"group": ""}, "group"),
        ({"group": 3}, "group"),
        ({"ordered": "yes"}, "ordered"),
        ({"amount": 2, "ordered": True}, "limit"),
        ({"on_failure": "stop"}, "on_failure"),
        ({"ordered": True, "on_failure": "skip"}, "on_failure"),
        ({"per": "host"}, "per"),
        ({"per": "worker", "key": "tenant"}, "per"),
        ({"per": "worker", "ordered": True}, "per"),
    ],
)
def test_what_cannot_be_is_named(options: dict[str, Any], argument: str) -> None:
    """Each option that cannot be is refused by its name."""
    with pytest.raises(InvalidArgumentError) as caught:
        Limit(**{"amount": 1, **options})
    assert caught.value.argument == argument


@pytest.mark.parametrize("limit", ["3", 0, 2.0, True, object()])
@pytest.mark.parametrize(
    "define",
    [
        lambda limit: JobDef(handle, limit=limit),
        lambda limit: CronDef("* * * * *", lambda: 0, limit=limit),
    ],
)
def test_a_definition_takes_a_number_or_a_limit(define: Callable[[Any], Any], limit: Any) -> None:
    """Whatever else is given is refused when the job or the cron is defined."""
    with pytest.raises(DefinitionError) as caught:
        define(limit)
    assert caught.value.argument == "limit"


def test_a_cron_has_no_key() -> None:
    """An occurrence has no payload, so a key of it is refused."""
    with pytest.raises(DefinitionError, match="no payload"):
        CronDef("* * * * *", lambda: None, limit=Limit(1, key="tenant"))


def test_a_key_is_one_of_the_fields_of_the_handler() -> None:
    """A key that is no field of the handler is a mistake, and named with those there are."""

    async def sync(tenant: str, page: int) -> None:
        """Do nothing."""

    with pytest.raises(DefinitionError, match="'tenant', 'page'"):
        JobDef(sync, limit=Limit(1, key="tennant"))
    assert JobDef(sync, limit=Limit(1, key="tenant")).limited == Limit(1, key="tenant")


@pytest.mark.parametrize(
    ("limit", "payload", "lane"),
    [
        (Limit(3), None, "sync"),
        (Limit(3, group="stripe"), {}, "stripe"),
        (Limit(3, key="tenant"), {"tenant": "a:b"}, "sync:a:b"),
        (Limit(3, key="tenant"), {"tenant": 7}, "sync:7"),
        (Limit(3, key="tenant"), {"tenant": 7.0}, "sync:7"),
        (Limit(3, key="tenant"), {"tenant": 7.5}, "sync:7.5"),
        (Limit(3, key="account.id"), {"account": {"id": "x"}}, "sync:x"),
        (Limit(3, key="account.id"), {"account.id": "y"}, "sync:y"),
        (Limit(3, key=lambda payload: payload["a"]), {"a": "z"}, "sync:z"),
        (Limit(3, key="tenant"), {"tenant": None}, None),
        (Limit(3, key="tenant"), {}, None),
        (Limit(3, key="account.id"), {"account": 3}, None),
        (Limit(3, per="worker"), {}, None),
    ],
)
def test_the_lane_of_a_job(limit: Limit, payload: Any, lane: str | None) -> None:
    """A lane is a name or a group with the key; a job without a key has none."""
    expected = None if lane is None else Lane(lane)
    assert limit.lane_of("sync", payload) == expected


def test_a_lane_tells_its_group_again() -> None:
    """Whatever a group is called, it is told from its key, and two groups are never one lane."""
    for group in ("sync", "a:b", "100%", "a%3Ab", "#x"):
        for key in (None, "k", "k:1", "x" * 201):
            lane = lane_name(group, key)
            assert group_of(lane) == group
            assert has_key(lane) == (key is not None)
    assert lane_name("a", "b:c") != lane_name("a:b", "c")
    assert len(lane_name("sync", "x" * 10_000)) < 100
    assert lane_name("sync", "x" * 201) != lane_name("sync", "x" * 202)


@pytest.mark.parametrize(
    "value", [True, [], {}, b"x", ObjectId(), float("nan"), "", "  ", "\ud800"]
)
async def test_a_key_is_text_or_a_number(value: Any) -> None:
    """Another key is refused when the job is scheduled; what a payload holds is not told."""
    jobs = {"sync": JobDef(handle, limit=Limit(1, key=lambda _: value))}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        with pytest.raises(InvalidArgumentError, match="limit key") as caught:
            await processor.schedule_job("sync", {})
        assert f"<a {type(value).__name__}>" in str(caught.value)
        with pytest.raises(InvalidArgumentError, match="limit_key"):
            await processor.schedule_job("sync", {}, limit_key=value)


async def test_a_key_function_that_fails_fails_the_caller() -> None:
    """What a key function raises comes to whoever schedules, named, and nothing is stored."""
    jobs = {"sync": JobDef(handle, limit=Limit(1, key=lambda payload: payload["secret"]))}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        with pytest.raises(InvalidArgumentError, match="KeyError") as caught:
            await processor.schedule_job("sync", {"other": "hidden"})
        assert "hidden" not in str(caught.value)
        assert await processor.count_jobs() == 0


async def test_a_limit_key_needs_a_limit() -> None:
    """A key of no limit is a mistake, which says what to write."""
    async with JobProcessor("sqlite://", jobs={"sync": JobDef(handle)}) as processor:
        with pytest.raises(InvalidArgumentError, match="has no limit"):
            await processor.schedule_job("sync", {}, limit_key="a")
        with pytest.raises(InvalidArgumentError, match=r"jobs\[1\].*has no limit"):
            await processor.schedule_jobs(["sync", JobRequest("sync", limit_key="a")])


async def test_a_limit_key_stands_for_the_key() -> None:
    """A key that is given when scheduling comes before that of the payload."""
    async with JobProcessor(
        "sqlite://", jobs={"sync": JobDef(handle, limit=Limit(1, key="tenant"))}
    ) as made:
        job = await made.schedule_job("sync", {"tenant": "a"}, limit_key=42)
        assert (job.lane, job.waits_for) == ("sync:42", None)


async def test_many_are_scheduled_with_their_keys() -> None:
    """`schedule_jobs` gives each job the lane of its own key."""
    jobs = {"sync": JobDef(handle, limit=Limit(1, key="tenant", ordered=True))}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        made = await processor.schedule_jobs([("sync", {"tenant": n % 7}) for n in range(2500)])
        assert [job.lane for job in made] == [f"sync:{n % 7}" for n in range(2500)]
        assert {job.ordered for job in made} == {"continue"}
        assert await processor.count_jobs(lane="sync:3") == len(made[3::7])


def test_names_of_a_group_agree_on_its_limit() -> None:
    """Two definitions of one group that differ are refused, with the other's name."""
    registry = Registry({"charge": JobDef(handle, limit=Limit(3, group="stripe"))}, {})
    registry.add_job("refund", JobDef(handle, limit=Limit(3, group="stripe", key="account")))
    with pytest.raises(DefinitionError, match="'charge'"):
        registry.add_job("pay", JobDef(handle, limit=Limit(4, group="stripe")))
    assert registry.limits == {"stripe": 3}
