"""Numbers and spans of time, as each language writes them."""

from __future__ import annotations

from job_processor import clock
from job_processor.web import texts

_SEPARATORS = {"en": ",", "fr": "\N{NARROW NO-BREAK SPACE}"}
_POINTS = {"en": ".", "fr": ","}


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
