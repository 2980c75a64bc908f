"""Keys of rates: what can be one, where it is defined and where a job is scheduled."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import (
    CronDef,
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobRequest,
    Rate,
)
from job_processor.handlers.registry import Registry


async def sync(payload: dict[str, Any]) -> None: ...


def rated(**options: Any) -> JobDef:
    """Return a job whose rate has these options."""
    return JobDef(sync, rate=Rate(5, per=1, **options))


async def scheduled(payload: Any, key: Any, **options: Any) -> str | None:
    """Return the lane of a job."""
    async with JobProcessor("sqlite://", jobs={"sync": rated(key=key)}) as processor:
        return (await processor.schedule_job("sync", payload, **options)).rate_lane


@pytest.mark.parametrize("key", ["", "  ", 5, ["tenant"], False, "a\ud800"])
def test_what_can_be_no_key_is_refused_where_it_is_defined(key: Any) -> None:
    """Neither a field nor a function; the error names it and its value."""
    with pytest.raises(InvalidArgumentError, match="key") as refused:
        Rate(5, per=1, key=key)
    assert refused.value.argument == "key"
    assert refused.value.value == key


def test_a_field_that_the_handler_does_not_have_is_refused() -> None:
    """A misspelled one would leave all jobs without a rate."""

    async def send(tenant: str) -> None: ...

    processor = JobProcessor("sqlite://")
    with pytest.raises(DefinitionError, match="'tenant'"):
        processor.job(rate=Rate(5, per=1, key="tennant"))(send)
    processor.job(rate=Rate(5, per=1, key="tenant"))(send)


def test_a_cron_has_no_key() -> None:
    """An occurrence has no payload; it is said what to write instead."""
    with pytest.raises(DefinitionError, match='write rate="5/s", or give a group without a key'):
        CronDef("* * * * *", lambda: None, rate=Rate(5, per=1, key="tenant"))


def test_names_of_a_group_find_the_key_each_in_its_own_way() -> None:
    """But all of them have one, or none."""
    jobs = {"a": rated(group="api", key="tenant"), "b": rated(group="api", key=lambda _: "x")}
    assert Registry(jobs, {}).keyed_rates.keys() == {"api"}
    with pytest.raises(DefinitionError, match="'a', which shares the rate of 'api'"):
        Registry({**jobs, "c": rated(group="api")}, {})


@pytest.mark.parametrize("value", [True, b"a", ["a"], {"a": 1}, "", "   ", "a\0"])
async def test_what_is_neither_text_nor_number_is_refused_when_it_is_scheduled(value: Any) -> None:
    """Named are the key and the job, and never the payload's value."""
    with pytest.raises(InvalidArgumentError, match="rate key 'tenant' of 'sync'") as refused:
        await scheduled({"tenant": value}, "tenant")
    assert repr(value) not in str(refused.value) or value in ("", "   ")


async def test_a_function_that_fails_is_named() -> None:
    """With its error's class, where the job is scheduled."""

    def tenant(payload: Any) -> str:
        return str(payload["tenant"]["id"])

    told = r"rate key 'tenant' of 'sync'.*the function of the key failed: KeyError"
    with pytest.raises(InvalidArgumentError, match=told):
        await scheduled({}, tenant)


@pytest.mark.parametrize(
    ("value", "lane"), [("acme", "sync:acme"), (7, "sync:7"), (7.0, "sync:7"), (0.5, "sync:0.5")]
)
async def test_texts_and_numbers_are_keys(value: Any, lane: str) -> None:
    """A whole number is the same one, however it is written."""
    assert await scheduled({"tenant": value}, "tenant") == lane


async def test_a_long_key_is_hashed() -> None:
    """From 201 characters on; two that differ have two lanes."""
    assert await scheduled({"tenant": "x" * 200}, "tenant") == "sync:" + "x" * 200
    long = [await scheduled({"tenant": "x" * 300 + end}, "tenant") for end in "ab"]
    assert all(lane is not None and len(lane) < 100 for lane in long)
    assert long[0] != long[1]


async def test_no_key_is_no_rate() -> None:
    """A field that is not there, and a function that returns None."""
    assert await scheduled({}, "tenant") is None
    assert await scheduled({"account": 5}, "account.id") is None
    assert await scheduled({"tenant": "a"}, lambda payload: None) is None
    assert await scheduled({"tenant": "a"}, key=True) is None


@pytest.mark.parametrize("value", [True, "", [1]])
async def test_a_rate_key_that_can_be_none_is_refused(value: Any) -> None:
    """Named with its value, which the caller has written."""
    with pytest.raises(InvalidArgumentError, match="rate_key"):
        await scheduled({}, key=True, rate_key=value)


async def test_a_rate_key_needs_a_rate_with_a_key() -> None:
    """It is said what to write."""
    jobs = {"plain": JobDef(sync), "keyless": rated()}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        for name in jobs:
            with pytest.raises(InvalidArgumentError, match=r"Rate\(5, per=1, key=True\)"):
                await processor.schedule_job(name, {}, rate_key="a")
            with pytest.raises(InvalidArgumentError, match="rate_key"):
                await processor.schedule_jobs([name, JobRequest(name, rate_key="a")])


async def test_a_hold_needs_the_key_that_there_is() -> None:
    """Neither a key of a rate without one, nor all keys of one that has one."""
    jobs = {"keyed": rated(key="tenant"), "keyless": rated()}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        with pytest.raises(InvalidArgumentError, match=r"hold\('keyed', 30, key=…\)"):
            await processor.hold("keyed", 30)
        with pytest.raises(InvalidArgumentError, match="has no key"):
            await processor.hold("keyless", 30, key="a")
        with pytest.raises(InvalidArgumentError, match="key"):
            await processor.hold("keyed", 30, key="")
        with pytest.raises(InvalidArgumentError, match="the key, and on_full"):
            await processor.set_rate("keyed", Rate(1, per=1, key="tenant"))
