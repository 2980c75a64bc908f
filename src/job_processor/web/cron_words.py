"""A cron expression in words, in English and in French: what it fires at, read off its fields.

The words are made of the sets of moments that the expression's own library has parsed, never of the
text of the expression: two that fire alike read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cronsim import CronSim

from job_processor.errors import InvalidArgumentError
from job_processor.schedule import interval_of, parse
from job_processor.web.interval_words import interval_in_words

_ANY = datetime(2024, 1, 1)  # noqa: DTZ001  # local time of no zone; only the fields are read
_CLOCK_TIMES = 6
"""As many times of a day are listed one by one."""
_SATURDAYS_END = 7
"""Sunday by its other number."""


@dataclass(frozen=True, slots=True)
class _Language:
    """The words of a language."""

    months: Sequence[str]
    days: Sequence[str]
    nth: Sequence[str]
    last: str
    join: str
    at: str
    every_second: str
    every_seconds: str
    every_minute: str
    every_minutes: str
    every_hours: str
    at_second: str
    at_seconds: str
    at_minute: str
    at_minutes: str
    every_hour: str
    of_every_hour: str
    from_minute: str
    of_hour: str
    of_hours: str
    between: str
    on_days: str
    on_day: str
    first: str
    last_day: str
    last_weekday: str
    on_weekdays: str
    weekday_range: str
    nth_weekday: str
    and_on: str
    or_on: str
    in_months: str
    month_range: str


_ENGLISH = _Language(
    months=[
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    days=["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
    nth=("first", "second", "third", "fourth", "fifth"),
    last="last",
    join=" and ",
    at="at {}",
    every_second="every second",
    every_seconds="every {} seconds",
    every_minute="every minute",
    every_minutes="every {} minutes",
    every_hours="every {} hours",
    at_second="at second {}",
    at_seconds="at seconds {}",
    at_minute="at minute {}",
    at_minutes="at minutes {}",
    every_hour="every hour",
    of_every_hour="of every hour",
    from_minute="from {} on",
    of_hour="of hour {}",
    of_hours="of hours {}",
    between="from {} to {}",
    on_days="on days {} of the month",
    on_day="on day {} of the month",
    first="1",
    last_day="on the last day of the month",
    last_weekday="on the last weekday of the month",
    on_weekdays="on {}",
    weekday_range="from {} to {}",
    nth_weekday="on the {} {} of the month",
    and_on="and only {}",
    or_on="and also {}",
    in_months="in {}",
    month_range="from {} to {}",
)
_FRENCH = _Language(
    months=[
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    days=["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
    nth=("premier", "deuxième", "troisième", "quatrième", "cinquième"),
    last="dernier",
    join=" et ",
    at="à {}",
    every_second="chaque seconde",
    every_seconds="toutes les {} secondes",
    every_minute="chaque minute",
    every_minutes="toutes les {} minutes",
    every_hours="toutes les {} heures",
    at_second="à la seconde {}",
    at_seconds="aux secondes {}",
    at_minute="à la minute {}",
    at_minutes="aux minutes {}",
    every_hour="toutes les heures",
    of_every_hour="de chaque heure",
    from_minute="à partir de {}",
    of_hour="de l'heure {}",
    of_hours="des heures {}",
    between="de {} à {}",
    on_days="les {} du mois",
    on_day="le {} du mois",
    first="1er",
    last_day="le dernier jour du mois",
    last_weekday="le dernier jour ouvré du mois",
    on_weekdays="le {}",
    weekday_range="du {} au {}",
    nth_weekday="le {} {} du mois",
    and_on="et seulement {}",
    or_on="et aussi {}",
    in_months="en {}",
    month_range="de {} à {}",
)
_LANGUAGES = {"en": _ENGLISH, "fr": _FRENCH}


def cron_in_words(expression: str, language: str) -> str:
    """Return when an expression fires; nothing when it is none."""
    try:
        parsed = parse(expression)
    except InvalidArgumentError:
        return ""
    interval = interval_of(parsed)
    if interval is not None:
        return interval_in_words(interval, language)
    fields = CronSim(parsed, _ANY)
    words = _LANGUAGES.get(language, _ENGLISH)
    parts = [_time(fields, words), _day(fields, words), _month(fields, words)]
    told = ", ".join(part for part in parts if part)
    return told[0].upper() + told[1:]


def _time(fields: CronSim, words: _Language) -> str:
    seconds, minutes, hours = sorted(fields.seconds), sorted(fields.minutes), sorted(fields.hours)
    if len(seconds) * len(minutes) * len(hours) <= _CLOCK_TIMES:
        times = [_clock(h, m, s) for h in hours for m in minutes for s in seconds]
        return words.at.format(_listed(times, words))
    if seconds == [0]:
        return _of_the_day(minutes, hours, words)
    told = _rhythm(seconds, words.every_second, words.every_seconds)
    if told is None:
        at = words.at_second if len(seconds) == 1 else words.at_seconds
        told = at.format(_numbers(seconds, words))
    elif seconds[0]:
        told = f"{told}, {words.from_minute.format(f'::{seconds[0]:02}')}"
    if len(minutes) == 60 and len(hours) == 24 and len(seconds) > 1:
        return told
    return f"{told}, {_of_the_day(minutes, hours, words)}"


def _of_the_day(minutes: Sequence[int], hours: Sequence[int], words: _Language) -> str:
    if len(minutes) * len(hours) <= _CLOCK_TIMES:
        times = [_clock(hour, minute) for hour in hours for minute in minutes]
        return words.at.format(_listed(times, words))
    rhythm = _rhythm(minutes, words.every_minute, words.every_minutes)
    if rhythm is not None:
        return _joined(rhythm, _hours_of_a_rhythm(minutes, hours, words))
    if len(minutes) == 1:
        hourly = _hourly(minutes[0], hours, words)
        if hourly is not None:
            return hourly
    at = words.at_minute if len(minutes) == 1 else words.at_minutes
    told = at.format(_numbers(minutes, words))
    if len(hours) == 24:
        return f"{told} {words.of_every_hour}"
    return f"{told} {_of_hours(hours, words)}"


def _hourly(minute: int, hours: Sequence[int], words: _Language) -> str | None:
    """Return the words for one minute of hours in equal steps, or of hours in a row."""
    start = _clock(hours[0], minute)
    step = _step(hours, 24)
    if step is not None:
        told = words.every_hour if step == 1 else words.every_hours.format(step)
        begins = f":{minute:02}" if step == 1 else start
        at_once = (hours[0], minute) == (0, 0)
        return told if at_once else f"{told}, {words.from_minute.format(begins)}"
    if len(hours) > 1 and hours[-1] - hours[0] == len(hours) - 1:
        return f"{words.every_hour}, {words.between.format(start, _clock(hours[-1], minute))}"
    return None


def _hours_of_a_rhythm(minutes: Sequence[int], hours: Sequence[int], words: _Language) -> str:
    """Return in which hours minutes of one rhythm count, and where it begins."""
    starts = words.from_minute.format(f":{minutes[0]:02}") if minutes[0] else ""
    if len(hours) == 24:
        return starts
    if hours[-1] - hours[0] == len(hours) - 1:
        last = _clock(hours[-1], minutes[-1])
        return words.between.format(_clock(hours[0], minutes[0]), last)
    return _joined(starts, _of_hours(hours, words))


def _of_hours(hours: Sequence[int], words: _Language) -> str:
    of = words.of_hour if len(hours) == 1 else words.of_hours
    return of.format(_numbers(hours, words))


def _rhythm(values: Sequence[int], each: str, every: str) -> str | None:
    """Return the words for minutes or seconds in equal steps all around the clock."""
    step = _step(values, 60)
    if step is None or len(values) == 1:
        return None
    return each if step == 1 else every.format(step)


def _step(values: Sequence[int], size: int) -> int | None:
    """Return the step in which values go all around `size`; None when they do not."""
    if size % len(values):
        return None
    step = size // len(values)
    return step if all(b - a == step for a, b in pairwise(values)) else None


def _day(fields: CronSim, words: _Language) -> str:
    days, weekdays = set(fields.days), _weekdays(fields.weekdays)
    any_day = days >= set(range(1, 32))
    any_weekday = weekdays >= set(range(7))
    if fields.day_and:
        told = [
            *([] if any_day else [_days(days, words)]),
            *([] if any_weekday else [_weekdays_told(weekdays, words)]),
        ]
        return f" {words.and_on.format('')}".join(told) if told else ""
    if any_day or any_weekday:  # either matches, and one always does
        return ""
    either = words.or_on.format(_weekdays_told(weekdays, words))
    return f"{_days(days, words)} {either}"


def _weekdays(parsed: Collection[object]) -> set[object]:
    """Return days of the week with one number for Sunday."""

    def one(day: object) -> object:
        return day % _SATURDAYS_END if isinstance(day, int) else day

    return {(one(day[0]), day[1]) if isinstance(day, tuple) else one(day) for day in parsed}


def _days(days: set[int], words: _Language) -> str:
    numbers = sorted(day for day in days if day > 0)
    told = []
    if numbers:
        listed = _numbers(numbers, words)
        if numbers[0] == 1:
            listed = words.first + listed[1:]
        told.append((words.on_day if len(numbers) == 1 else words.on_days).format(listed))
    if CronSim.LAST in days:
        told.append(words.last_day)
    if CronSim.LAST_WEEKDAY in days:
        told.append(words.last_weekday)
    return _listed(told, words)


def _weekdays_told(weekdays: set[object], words: _Language) -> str:
    plain = [day for day in weekdays if isinstance(day, int)]
    told = []
    if plain:
        monday_first = sorted((day - 1) % 7 for day in plain)
        told.append(
            _named(
                monday_first,
                words,
                lambda number: words.days[(number + 1) % 7],
                words.on_weekdays,
                words.weekday_range,
            )
        )
    nth = [day for day in weekdays if isinstance(day, tuple) and day[0] not in plain]
    for day, which in sorted(nth, key=lambda each: (each[1] < 0, each[1], each[0])):
        order = words.last if which == CronSim.LAST else words.nth[which - 1]
        told.append(words.nth_weekday.format(order, words.days[day]))
    return _listed(told, words)


def _month(fields: CronSim, words: _Language) -> str:
    months = sorted(fields.months)
    if len(months) == 12:
        return ""
    return _named(
        months,
        words,
        lambda number: words.months[number - 1],
        words.in_months,
        words.month_range,
    )


def _named(
    numbers: Sequence[int],
    words: _Language,
    name: Callable[[int], str],
    each: str = "{}",
    whole_range: str = "",
) -> str:
    """Return names of numbers, three and more in a row as a range; `each` stands around them."""
    runs = _runs(numbers)
    if len(runs) == 1 and len(numbers) > 2 and whole_range:
        return whole_range.format(name(numbers[0]), name(numbers[-1]))
    told = []
    for first, last in runs:
        if last - first >= 2:
            told.append(f"{name(first)}\N{EN DASH}{name(last)}")
        else:
            told += [name(number) for number in range(first, last + 1)]
    return each.format(_listed(told, words))


def _numbers(numbers: Sequence[int], words: _Language) -> str:
    """Return numbers, what comes in equal steps shortened to its beginning and its end."""
    if len(numbers) > 4:
        step = numbers[1] - numbers[0]
        if step > 1 and list(numbers) == list(range(numbers[0], numbers[-1] + 1, step)):
            return f"{numbers[0]}, {numbers[1]}, {numbers[2]} … {numbers[-1]}"
    return _named(numbers, words, str)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the stretches of numbers that follow one another."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _listed(parts: Sequence[str], words: _Language) -> str:
    return words.join.join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _clock(hour: int, minute: int, second: int = 0) -> str:
    return f"{hour:02}:{minute:02}:{second:02}" if second else f"{hour:02}:{minute:02}"
