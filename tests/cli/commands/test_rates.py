"""`rates`: listed, changed, held and released, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from job_processor import JobDef, JobProcessor, Rate
from tests.cli.conftest import Cli
from tests.definitions import nothing


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which one rate is in use, whose next start is an hour away."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        rate = Rate(1, per=3600, group="stripe")
        async with JobProcessor(jobs={"charge": JobDef(nothing, rate=rate)}) as processor:
            await processor.schedule_job("charge")
            await processor.run_worker(burst=True)

    asyncio.run(fill())
    return db_url


def test_rates_are_listed(cli: Cli, db: str) -> None:
    """With how many may start, at once, and when the next one may."""
    text = cli("rates").text
    assert "stripe" in text
    assert "1/h" in text
    assert "in 59 min" in text or "in 1 h" in text
    (found,) = cli("rates", "list", "--json").json
    assert {**found, "next_start": 0} == {
        "name": "stripe",
        "names": [],
        "amount": 1,
        "per": 3600.0,
        "burst": 1,
        "defined": None,
        "next_start": 0,
        "held_for": 0,
        "waiting": 0,
    }
    assert 3500 < found["next_start"] <= 3600


def test_a_rate_is_changed_and_changed_back(cli: Cli, db: str) -> None:
    """For all workers; what was done is said, and stands in the audit."""
    assert "set to 20/s, 5 at once" in cli("rates", "set", "stripe", "20/s", "--burst", "5").text
    assert "20/s" in cli("rates").text
    (found,) = cli("rates", "set", "stripe", "30/m", "--json").json
    assert (found["amount"], found["per"], found["burst"]) == (30, 60.0, 1)
    assert "the one in the code again" in cli("rates", "reset", "stripe").text
    assert "1/h" in cli("rates").text

    async def audit() -> list[str]:
        async with JobProcessor() as processor:
            return [entry.subject for entry in await processor.get_audit()]

    assert "stripe: set to 30/m, 1 at once" in asyncio.run(audit())


def test_a_rate_is_held_and_released(cli: Cli, db: str) -> None:
    """For a time from now."""
    assert "is held for 2 h;" in cli("rates", "hold", "stripe", "2h").text
    assert "held for" in cli("rates").text
    (found,) = cli("rates", "--json").json
    assert 7000 < found["held_for"] <= 7200
    assert "held no more" in cli("rates", "release", "stripe").text
    (found,) = cli("rates", "--json").json
    assert found["held_for"] == 0


def test_a_name_without_a_rate_is_refused(cli: Cli, db: str) -> None:
    """With what may have been meant; `--force` does it, for a rate that nobody has used yet."""
    cli("rates", "set", "strip", "1/s").refused("did you mean 'stripe'?", "--force")
    cli("rates", "hold", "other", "1m").refused("there are: stripe")
    cli("rates", "reset", "other").refused("no rate of 'other' is in use")
    cli("rates", "release", "other").refused("no rate of 'other' is in use")
    assert "set to 1/s" in cli("rates", "set", "other", "1/s", "--force").text
    assert [each["name"] for each in cli("rates", "--json").json] == ["other", "stripe"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("set", "stripe", "fast"), "RATE: 'fast' is not allowed"),
        (("set", "stripe", "100"), "a rate needs a number of starts and a time"),
        (("set", "stripe", "0/s"), "amount: 0 is not allowed"),
        (("set", "stripe", "1/s", "--burst", "0"), "burst: 0 is not allowed"),
        (("set", "stripe", "1/s", "--burst", "many"), "--burst: 'many' is not allowed"),
        (("hold", "stripe", "long"), "TIME: 'long' is not allowed"),
        (("hold", "stripe", "99999999999d"), "TIME: '99999999999d' is not allowed"),
        (("hold", "stripe", "5000d"), "2h or 1d, up to 366d"),
        (("hold", "", "1s"), "NAME: '' is not allowed"),
    ],
)
def test_bad_input(cli: Cli, db: str, arguments: tuple[str, ...], told: str) -> None:
    """Is named, with what is allowed, and changes nothing."""
    cli("rates", *arguments).refused(told)
    assert "1/h" in cli("rates").text


def test_no_rates(cli: Cli, db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to write is said."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def make() -> None:
        async with JobProcessor():
            pass

    asyncio.run(make())
    assert 'write rate="100/m" where a job is defined' in cli("rates").text
    assert cli("rates", "--json").json == []
