"""Cron expressions and daylight saving, against a brute force over every minute."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job_processor import InvalidArgumentError, schedule
from job_processor.schedule import ALIASES, latest_occurrences, next_occurrence

MINUTE = timedelta(minutes=1)
ODD_ZONES = [
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/Paris",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
]
EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "30 * * * *",
    "*/15 2,3 * * *",
    "0 */2 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "15,45 1-3 * * *",
    "0 0 * * *",
    "5 0 * * 0,3",
    "0 3 29-31 * *",
    "59 23 * 1,3,4,10,11 *",
]


@cache
def transitions(zone_name: str) -> list[datetime]:
    """Return the hours, in UTC, at whose end the zone's offset has changed, from 2010 to 2020."""
    zone = ZoneInfo(zone_name)
    start = datetime(2010, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=hour) for hour in range(24 * 365 * 10)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [
        hours[i] for i, (before, behind) in enumerate(pairwise(offsets)) if before != behind
    ] or [start]


@cache
def field_matches(field: str, value: int, lowest: int, highest: int) -> bool:
    """Match one field of a cron expression, written from its definition."""
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, last = lowest, highest
        if span != "*":
            start, _, end = span.partition("-")
            first, last = int(start), int(end or start)
        if first <= value <= last and (value - first) % int(step or 1) == 0:
            return True
    return False


def matches(expression: str, local: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    by_day = field_matches(day, local.day, 1, 31)
    by_weekday = field_matches(weekday, local.isoweekday() % 7, 0, 6)
    both = day.startswith("*") or weekday.startswith("*")
    return (
        field_matches(minute, local.minute, 0, 59)
        and field_matches(hour, local.hour, 0, 23)
        and field_matches(month, local.month, 1, 12)
        and ((by_day and by_weekday) if both else (by_day or by_weekday))
    )


def brute_force(expression: str, zone_name: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the occurrences in (start, end) by looking at every minute."""
    zone = ZoneInfo(zone_name)
    wildcard = expression.split(maxsplit=1)[0].startswith("*") or expression.split()[1].startswith(
        "*"
    )
    occurrences: set[datetime] = set()
    latest_local: datetime | None = None
    instant = start - timedelta(days=1)
    while instant < end:
        local = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        if wildcard:
            if matches(expression, local):
                occurrences.add(instant)
        elif latest_local is None or local > latest_local:  # a fold's second pass is not new
            skipped = local if latest_local is None else latest_local + MINUTE
            while skipped <= local:  # what a gap swallowed stands for its end
                if matches(expression, skipped):
                    occurrences.add(instant)
                skipped += MINUTE
        latest_local = local if latest_local is None else max(local, latest_local)
        instant += MINUTE
    return sorted(each for each in occurrences if start < each < end)


def walk(expression: str, zone_name: str, start: datetime, end: datetime) -> list[datetime]:
    found = []
    moment = next_occurrence(expression, zone_name, start)
    while moment < end:
        found.append(moment)
        moment = next_occurrence(expression, zone_name, moment)
    return found


@pytest.mark.parametrize(
    "share",
    [101, pytest.param(17, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("zone_name", ODD_ZONES)
def test_around_every_transition_it_agrees_with_a_brute_force(zone_name: str, share: int) -> None:
    """On both sides of each change of offset in ten years, no minute is missed or invented.

    The short forms take a share of the pairs of a change and an expression.
    """
    pairs = list(itertools.product(transitions(zone_name), EXPRESSIONS))
    for change, expression in pairs[len(zone_name) % share :: share]:
        start, end = change - timedelta(hours=30), change + timedelta(hours=30)
        expected = brute_force(expression, zone_name, start, end)
        assert walk(expression, zone_name, start, end) == expected, (expression, change)


@settings(deadline=None, max_examples=30)
@given(
    zone_name=st.sampled_from(ODD_ZONES),
    which=st.integers(0, 1000),
    minutes=st.sampled_from(["*", "*/10", "0", "30", "0,30", "15-20", "59"]),
    hours=st.sampled_from(["*", "*/3", "0", "1", "2", "3", "1-3", "23"]),
    offset=st.integers(-1500, 1500),
)
def test_any_expression_at_any_moment_near_a_transition(
    zone_name: str, which: int, minutes: str, hours: str, offset: int
) -> None:
    """From any moment near a change of offset, the next occurrence is the brute force's first."""
    changes = transitions(zone_name)
    start = changes[which % len(changes)] + MINUTE * offset
    expression = f"{minutes} {hours} * * *"
    end = start + timedelta(hours=50)
    expected = brute_force(expression, zone_name, start, end)
    assert walk(expression, zone_name, start, end) == expected


@given(
    after=st.integers(0, 50 * 365 * 86_400_000).map(
        lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    ),
    zone_name=st.sampled_from(ODD_ZONES),
    expression=st.sampled_from([*EXPRESSIONS, "*/20 * * * * *", "0 0 12 L * *", "0 9 * * MON#1"]),
)
def test_an_occurrence_is_strictly_later_and_on_a_whole_second(
    after: datetime, zone_name: str, expression: str
) -> None:
    """The next occurrence is later than `after`, in UTC, to the second, and the first such."""
    found = next_occurrence(expression, zone_name, after)
    assert found > after
    assert found.microsecond == 0
    assert found.tzinfo is UTC
    assert next_occurrence(expression, zone_name, found - timedelta(milliseconds=1)) == found


def test_six_fields_have_seconds_first() -> None:
    """A sixth field in front counts seconds."""
    after = datetime(2026, 1, 1, 12, 0, 1, 500_000, tzinfo=UTC)
    expected = datetime(2026, 1, 1, 12, 0, 2, tzinfo=UTC)
    assert next_occurrence("*/2 * * * * *", "UTC", after) == expected


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_stand_for_their_expression(alias: str) -> None:
    """`@hourly` and its like mean the expression that cron gives them, in any case."""
    after = datetime(2026, 5, 5, 5, 5, tzinfo=UTC)
    expected = next_occurrence(ALIASES[alias], "UTC", after)
    assert next_occurrence(alias.upper(), "UTC", after) == expected


@pytest.mark.parametrize(
    ("expression", "zone_name", "argument"),
    [
        ("61 * * * *", "UTC", "cron_string"),
        ("* * *", "UTC", "cron_string"),
        ("0 0 30 2 *", "UTC", "cron_string"),
        ("@often", "UTC", "cron_string"),
        ("*/90 * * * *", "UTC", "cron_string"),
        ("0 */25 * * *", "UTC", "cron_string"),
        ("5-5/15 * * * *", "UTC", "cron_string"),
        ("50/15 * * * *", "UTC", "cron_string"),
        ("0 0 L/2 * *", "UTC", "cron_string"),
        ("0 0 */31 * *", "UTC", "cron_string"),
        ("0 0 * * SAT/2", "UTC", "cron_string"),
        (f"{'9' * 5000} * * * *", "UTC", "cron_string"),
        ("* * * * *", "Europe/Atlantis", "timezone"),
        ("* * * * *", "", "timezone"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(
    expression: str, zone_name: str, argument: str
) -> None:
    """A bad expression or zone is refused with its name, its value and what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        next_occurrence(expression, zone_name, datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.argument == argument
    assert "allowed" in str(caught.value)


def test_a_naive_time_is_refused() -> None:
    """`after` without a zone would be a guess."""
    with pytest.raises(InvalidArgumentError, match="after"):
        next_occurrence("* * * * *", "UTC", datetime(2026, 1, 1))  # noqa: DTZ001  # that's the test


@pytest.mark.parametrize(
    ("expression", "instead"),
    [
        ("*/90 * * * *", "write '0'"),
        ("5-5/15 * * * *", "write '5'"),
        ("1-3,20-30/11 * * * *", "write '20'"),
        ("0 0 * JAN-MAR/3 *", "write 'JAN'"),
        ("0 0 LW/2 * *", "write 'LW'"),
    ],
)
def test_a_step_that_never_steps_is_refused_with_what_it_means(
    expression: str, instead: str
) -> None:
    """It reads as a rhythm and has none."""
    with pytest.raises(InvalidArgumentError, match=instead):
        next_occurrence(expression, "UTC", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "expression",
    [
        "*/60 * * * *",
        "0 */24 * * *",
        "*/60 * * * * *",
        "0 0 1 */12 *",
        "5/15 * * * *",
        "0-7/7 1 * * *",
    ],
)
def test_steps_that_fire_as_they_read(expression: str) -> None:
    """Once around, or from where they begin."""
    next_occurrence(expression, "UTC", datetime(2026, 1, 1, tzinfo=UTC))


def naive_latest(
    cron_string: str, zone: str, after: datetime, until: datetime, limit: int
) -> list[datetime]:
    """Return what `latest_occurrences` does, by walking all of them."""
    found: list[datetime] = []
    moment = next_occurrence(cron_string, zone, after)
    while moment <= until:
        found.append(moment)
        moment = next_occurrence(cron_string, zone, moment)
    return found[-limit:]


_EXPRESSIONS = (
    "* * * * *",
    "*/7 1-3 * * *",
    "30 2 * * *",
    "0,30 2,3 * * *",
    "15 */5 * * SUN",
    "* 0 29 * *",
    "0 0 1 * *",
    "*/17 */9 2 * * *",
    "59 59 23 28-31 3,10 *",
)
_ZONES = ("UTC", "Europe/Paris", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo")


@given(
    cron_string=st.sampled_from(_EXPRESSIONS),
    zone=st.sampled_from(_ZONES),
    ago=st.timedeltas(timedelta(0), timedelta(days=20 * 365)),
    gap=st.timedeltas(timedelta(0), timedelta(days=1)),
    limit=st.integers(1, 120),
)
@settings(deadline=None, max_examples=50)
def test_the_latest_occurrences_are_those_of_a_walk(
    cron_string: str, zone: str, ago: timedelta, gap: timedelta, limit: int
) -> None:
    """Found from behind, they are the same as the last ones of all, in any zone."""
    until = datetime(2027, 1, 1, tzinfo=UTC) - ago
    after = until - gap
    found = latest_occurrences(cron_string, zone, after, until, limit)
    assert found == naive_latest(cron_string, zone, after, until, limit)


@pytest.mark.parametrize("changes", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("zone", [zone for zone in ODD_ZONES if zone != "UTC"])
def test_the_latest_occurrences_around_a_change_of_offset(zone: str, changes: int) -> None:
    """Hours that are left out and those that come twice are walked backwards as forwards."""
    for change in transitions(zone)[-changes:]:
        for cron_string in ("*/7 1-3 * * *", "30 2 * * *", "0,30 0,2,3 * * *", "*/15 * * * *"):
            for hours in (0, 1, 2, 5, 30):
                until = change + timedelta(hours=hours, minutes=1)
                found = latest_occurrences(
                    cron_string, zone, change - timedelta(days=2), until, limit=20
                )
                assert found == naive_latest(
                    cron_string, zone, change - timedelta(days=2), until, limit=20
                )


@pytest.mark.parametrize(
    "cron_string",
    ["* * * * * *", "* * * * *", "* * * 1 1 *", "0,1,2 0 0 1 1 *", "* * 3 * * SUN#2", "@yearly"],
)
def test_the_latest_occurrences_of_decades_take_bounded_work(
    cron_string: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the gap and however they lie: some thousand steps, and no more."""
    steps, walk = 0, schedule.next_occurrence

    def counted(*arguments: Any) -> datetime:
        nonlocal steps
        steps += 1
        return walk(*arguments)

    monkeypatch.setattr(schedule, "next_occurrence", counted)
    until = datetime(2026, 11, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    after = until - timedelta(days=20_000)
    found = latest_occurrences(cron_string, "Europe/Paris", after, until, 100)
    assert steps < 4000
    assert len(found) == (54 if cron_string == "@yearly" else 100)
    assert found == sorted(set(found))
    assert next_occurrence(cron_string, "Europe/Paris", found[-1]) > until
