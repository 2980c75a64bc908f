"""Cron expressions in words: what they fire at, in two languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from job_processor.schedule import next_occurrence
from job_processor.web.cron_words import cron_in_words

START = datetime(2026, 2, 27, 12, 34, tzinfo=UTC)
SECONDS = ("", "0 ", "* ", "*/20 ", "5/20 ", "7 ", "7,9 ", "1-4 ")
MINUTES = (
    "0",
    "7",
    "*",
    "*/15",
    "5/15",
    "5,20,35,50",
    "*/7",
    "1,2",
    "1-5,9",
    "30/10",
    "0-59",
    "*/60",
)
HOURS = ("*", "0", "2", "*/2", "1/2", "9-17", "1,5,7,9,11,20,21", "*/24", "0-23", "8,9", "22-23")
DAYS = ("*", "1", "1,15", "*/2", "1-31", "L", "LW", "1,L", "28", "1-7", "*/1")
MONTHS = ("*", "1", "JAN", "3-5", "*/2", "2,9", "1-12")
WEEKDAYS = ("*", "MON", "1", "0", "7", "MON-FRI", "1-5", "*/2", "MON#1", "MON#1,WED#3", "5L", "0-6")


@pytest.mark.parametrize(
    ("expression", "english", "french"),
    [
        ("0 2 * * *", "At 02:00", "À 02:00"),
        ("@hourly", "Every hour", "Toutes les heures"),
        ("@every 1s", "Every second", "Chaque seconde"),
        ("@every 45s", "Every 45 seconds", "Toutes les 45 secondes"),
        ("@every 90m", "Every 90 minutes", "Toutes les 90 minutes"),
        ("@every 60m", "Every hour", "Toutes les heures"),
        ("@every 10d from 2026-01-05T06:00:00+00:00", "Every 10 days", "Tous les 10 jours"),
        ("*/15 * * * *", "Every 15 minutes", "Toutes les 15 minutes"),
        ("5/15 * * * *", "Every 15 minutes, from :05 on", "Toutes les 15 minutes, à partir de :05"),
        ("* * * * * *", "Every second", "Chaque seconde"),
        (
            "0 9-17 * * MON-FRI",
            "Every hour, from 09:00 to 17:00, from Monday to Friday",
            "Toutes les heures, de 09:00 à 17:00, du lundi au vendredi",
        ),
        (
            "0 0 */2 * MON",
            "At 00:00, on days 1, 3, 5 … 31 of the month and only on Monday",
            "À 00:00, les 1er, 3, 5 … 31 du mois et seulement le lundi",
        ),
        (
            "0 0 13 * FRI",
            "At 00:00, on day 13 of the month and also on Friday",
            "À 00:00, le 13 du mois et aussi le vendredi",
        ),
        (
            "0 9 * * MON#1,WED#3",
            "At 09:00, on the first Monday of the month and on the third Wednesday of the month",
            "À 09:00, le premier lundi du mois et le troisième mercredi du mois",
        ),
        (
            "0 0 1 1 *",
            "At 00:00, on day 1 of the month, in January",
            "À 00:00, le 1er du mois, en janvier",
        ),
        ("0 0 1-31 * MON", "At 00:00", "À 00:00"),
        ("every day", "", ""),
    ],
)
def test_words(expression: str, english: str, french: str) -> None:
    """As a person would say it; nothing of what cannot be read."""
    assert cron_in_words(expression, "en") == english
    assert cron_in_words(expression, "fr") == french


def test_what_reads_alike_fires_alike() -> None:
    """No two expressions with the same words differ in what they fire at."""
    times = [f"{s}{m} {h} * * *" for s, m, h in product(SECONDS, MINUTES, HOURS)]
    dates = [f"0 8 {d} {m} {w}" for d, m, w in product(DAYS, MONTHS, WEEKDAYS)]
    alike: dict[tuple[str, str], tuple[str, list[datetime]]] = {}
    for expression in [*times, *dates]:
        fires = occurrences(expression)
        for language in ("en", "fr"):
            words = cron_in_words(expression, language)
            other, its = alike.setdefault((language, words), (expression, fires))
            assert fires == its, f"{expression} and {other}: {words}"
    assert len(alike) < 1.5 * len(times + dates)  # many are spellings of the same


def occurrences(expression: str) -> list[datetime]:
    """Return the next occurrences, and the first ones of later months."""
    found, moment = [], START
    for start in (START, START + timedelta(days=100)):
        moment = start
        for _ in range(4):
            moment = next_occurrence(expression, "UTC", moment)
            found.append(moment)
    return found
