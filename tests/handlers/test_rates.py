"""How a rate is written, what it means, and what is refused, with the line to write instead."""

from __future__ import annotations

import pickle
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
    Rate,
    RateLimited,
    RetryLater,
    Snooze,
)
from job_processor.handlers.rates import as_rate
from job_processor.handlers.retries import Wish, hold_of, wish_of
from job_processor.store.rates import Pace
from tests.definitions import nothing


@pytest.mark.parametrize(
    ("text", "amount", "per"),
    [("100/m", 100, 60), ("1/s", 1, 1), (" 30 / h ", 30, 3600), ("5/d", 5, 86_400)],
)
def test_a_text_is_so_many_in_a_time(text: str, amount: int, per: float) -> None:
    """Seconds, minutes, hours and days, as Celery writes them."""
    rate = as_rate(text)
    assert rate == Rate(amount, per=per)
    assert str(rate) == text.replace(" ", "")


def test_a_time_is_a_number_of_seconds_or_a_timedelta() -> None:
    """Both are the same rate."""
    assert Rate(10, per=timedelta(minutes=2)) == Rate(10, per=120) == Rate(10, 120.0)
    assert str(Rate(10, per=120)) == "10 in 120 s"


@pytest.mark.parametrize(
    ("rate", "burst"),
    [(Rate(10, 1), 1), (Rate(19, 1), 1), (Rate(20, 1), 2), (Rate(100, 1), 10), (Rate(1, 3600), 1)],
)
def test_a_tenth_of_a_second_starts_at_once_unless_it_says_otherwise(
    rate: Rate, burst: int
) -> None:
    """So all that are slower than twenty a second start evenly."""
    assert rate.burst == burst
    assert Rate(rate.amount, rate.per, burst=7).burst == 7


REFUSED: list[tuple[Any, str, str]] = [
    ("100", "rate", 'a number of starts and a time; write rate="100/m"'),
    (100, "rate", 'a number of starts and a time; write rate="100/m"'),
    (2.5, "rate", 'a number of starts and a time; write rate="100/m"'),
    ("100/", "rate", 'write rate="100/m"'),
    ("100/min", "rate", 'write rate="100/m"'),
    ("1.5/s", "rate", 'write rate="100/m"'),
    ("-1/s", "rate", 'write rate="100/m"'),
    ("0/s", "amount", "at least 1"),
    ("", "rate", 'write rate="100/m"'),
    (True, "rate", 'write rate="100/m"'),
    ([100, 60], "rate", 'write rate="100/m"'),
]


@pytest.mark.parametrize(("value", "argument", "told"), REFUSED)
@pytest.mark.parametrize(
    "make",
    [
        lambda rate: JobDef(nothing, rate=rate),
        lambda rate: CronDef("* * * * *", nothing, rate=rate),
    ],
)
def test_what_is_no_rate_is_refused_with_the_line_to_write(
    make: Any, value: Any, argument: str, told: str
) -> None:
    """Where it is defined, by a definition's error that names the argument and the value."""
    with pytest.raises(DefinitionError) as caught:
        make(rate=value)
    assert caught.value.argument == argument
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"amount": 0, "per": 1}, "amount"),
        ({"amount": 1.5, "per": 1}, "amount"),
        ({"amount": True, "per": 1}, "amount"),
        ({"amount": "10", "per": 1}, "amount"),
        ({"amount": 10**10, "per": 1}, "amount"),
        ({"amount": 10}, "per"),
        ({"amount": 10, "per": 0}, "per"),
        ({"amount": 10, "per": -1}, "per"),
        ({"amount": 10, "per": float("nan")}, "per"),
        ({"amount": 10, "per": "1m"}, "per"),
        ({"amount": 10, "per": timedelta(days=400)}, "per"),
        ({"amount": 10, "per": 1, "burst": 0}, "burst"),
        ({"amount": 10, "per": 1, "burst": 1.0}, "burst"),
        ({"amount": 10, "per": 1, "burst": 10**10}, "burst"),
        ({"amount": 10, "per": 1, "group": ""}, "group"),
        ({"amount": 10, "per": 1, "group": "x" * 201}, "group"),
        ({"amount": 10, "per": 1, "on_full": "drop"}, "on_full"),
    ],
)
def test_parts_of_a_rate_that_cannot_be(options: Any, argument: str) -> None:
    """Each is named with its value and what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        Rate(**options)
    assert caught.value.argument == argument


def test_a_rate_without_a_time_shows_the_line_to_write() -> None:
    """With the amount that was given."""
    with pytest.raises(InvalidArgumentError, match=r"write Rate\(250, per=60\) for a minute"):
        Rate(250)


@pytest.mark.parametrize("name", ["rate_limit", "throttle", "limiter", "rates"])
def test_what_others_call_it_is_told(name: str) -> None:
    """The error says what it is called here."""
    processor = JobProcessor("sqlite://")
    options: Any = {name: "10/s"}
    with pytest.raises(DefinitionError, match='write rate="100/m"'):
        processor.job("a", **options)(nothing)


def test_one_group_has_one_rate() -> None:
    """The second that says otherwise is refused, and shown how to share it."""
    mail = Rate(10, per=1, group="smtp")
    processor = JobProcessor("sqlite://", jobs={"a": JobDef(nothing, rate=mail)})
    processor.job("b", rate=mail)(nothing)
    processor.job("c", rate=Rate(10, per=1.0, group="smtp"))(nothing)
    for other in (Rate(20, per=1, group="smtp"), Rate(10, per=1, group="smtp", on_full="skip")):
        with pytest.raises(DefinitionError, match="write one rate = Rate"):
            processor.job("d", rate=other)(nothing)
    with pytest.raises(DefinitionError, match="which shares the rate of 'smtp'"):
        processor.job("smtp", rate="3/s")(nothing)
    processor.job("d", rate=Rate(20, per=1, group="other"))(nothing)
    names = {group: names for group, (_, names) in processor.registry.rates.items()}
    assert names == {"smtp": ("a", "b", "c"), "other": ("d",)}


def test_a_default_of_the_processor() -> None:
    """Each name gets it for itself, unless it says otherwise."""
    processor = JobProcessor("sqlite://", defaults=JobOptions(rate="10/s"))
    processor.job("a")(nothing)
    processor.job("b", rate=None)(nothing)
    processor.cron("* * * * *", "c")(nothing)
    assert {group: names for group, (_, names) in processor.registry.rates.items()} == {
        "a": ("a",),
        "c": ("c",),
    }


def test_a_rate_says_how_fast_starts_follow_each_other() -> None:
    """The interval, and by how much one may be early, or late, without harm to any window."""
    assert Pace.of(10, 1.0, 1) == Pace(100.0, 1)
    assert (Pace(100.0, 1).tolerance, Pace(100.0, 1).lateness) == (0.0, 50.0)
    assert (Pace(10.0, 1).tolerance, Pace(10.0, 1).lateness) == (0.0, 5.0)
    assert (Pace(10.0, 10).tolerance, Pace(10.0, 10).lateness) == (90.0, 0.0)
    assert (Pace(10.0, 10).respite, Pace(10.0, 2).respite, Pace(10.0, 1).respite) == (
        40.0,
        10.0,
        0.0,
    )
    assert Pace(100.0, 10).respite == 0.0


def test_a_limit_of_somebody_else() -> None:
    """It is a Snooze that holds the rate, too; of a group the longest counts."""
    limited = RateLimited(after=timedelta(seconds=30))
    assert isinstance(limited, Snooze)
    assert str(limited) == "limited for 30 s"
    assert str(RateLimited("429", after=1)) == "429"
    assert wish_of(limited) == Wish(False, 30.0)
    assert hold_of(limited) == 30.0
    group = ExceptionGroup(
        "", [limited, ExceptionGroup("", [RateLimited(after=60), Snooze(delay=90)])]
    )
    assert wish_of(group) == Wish(False, 90.0)
    assert hold_of(group) == 60.0
    assert wish_of(ExceptionGroup("", [limited, RetryLater(delay=5)])) == Wish(True, 30.0)
    assert hold_of(ExceptionGroup("", [limited, ValueError()])) == 30.0
    assert wish_of(ExceptionGroup("", [limited, ValueError()])) is None
    assert hold_of(Snooze(delay=1)) is None
    again = pickle.loads(pickle.dumps(RateLimited("429", after=7)))  # noqa: S301  # our own
    assert (type(again), str(again), again.delay) == (RateLimited, "429", 7)


@pytest.mark.parametrize("after", [-1, "30", None, float("inf"), True])
def test_a_time_that_is_none(after: Any) -> None:
    """It is refused where it is raised."""
    with pytest.raises(InvalidArgumentError) as caught:
        RateLimited(after=after)
    assert caught.value.argument == "after"
