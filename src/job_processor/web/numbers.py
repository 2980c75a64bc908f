"""Numbers and spans of time, as each language writes them."""

from __future__ import annotations

from job_processor import clock
from job_processor.web import texts

_SEPARATORS = {"en": ",", "fr": "\N{NARROW NO-BREAK SPACE}"}
_POINTS = {"en": ".", "fr": ","}
_UNITS = ((1.0, "min"), (60.0, "h"), (1440.0, "d"))
"""Minutes of each unit of a rate, the smallest first."""


def grouped(number: int, language: str) -> str:
    """Return a whole number in groups of three digits, as a language parts them."""
    return f"{number:,}".replace(",", _SEPARATORS[language])


def decimal(number: float | str, language: str) -> str:
    """Return a number, or a text that holds one, with the decimal point of a language."""
    return str(number).replace(".", _POINTS[language])


def span(seconds: float | None, language: str = "en") -> str:
    """Return a span of time; nothing where there is none."""
    if seconds is None:
        return ""
    return decimal(clock.span(seconds, texts.translate("d", language)), language)


def took(milliseconds: int | None, language: str = "en") -> str:
    """Return how long a run took; nothing where it is not known."""
    return span(None if milliseconds is None else milliseconds / 1000, language)


def percent(part: float, language: str) -> str:
    """Return a part (0 to 1) of a hundred; one that is not zero never reads so."""
    share = 100 * part
    text = f"{share:.0f}" if share >= 10 or share == 0 else f"{max(share, 0.1):.1f}"
    blank = "\N{NO-BREAK SPACE}" if language == "fr" else ""
    return f"{decimal(text.removesuffix('.0'), language)}{blank}%"


def per_time(per_minute: float, language: str) -> str:
    """Return a rate in the first unit of time in which it is at least one: `12/min`, `3/h`."""
    rates = [(per_minute * minutes, unit) for minutes, unit in _UNITS]
    rate, unit = next((each for each in rates if round(each[0], 1) >= 1), rates[-1])
    told = grouped(round(rate), language)
    if rate < 10:
        told = decimal(f"{rate:.1f}".removesuffix(".0"), language)
    return f"{told}/{texts.translate(unit, language)}"
