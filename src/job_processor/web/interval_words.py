"""An interval in words, in English and in French."""

from __future__ import annotations

from job_processor.schedule import Interval

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_WORDS = {
    "en": {
        "day": ("every day", "every {} days"),
        "hour": ("every hour", "every {} hours"),
        "minute": ("every minute", "every {} minutes"),
        "second": ("every second", "every {} seconds"),
    },
    "fr": {
        "day": ("chaque jour", "tous les {} jours"),
        "hour": ("toutes les heures", "toutes les {} heures"),
        "minute": ("chaque minute", "toutes les {} minutes"),
        "second": ("chaque seconde", "toutes les {} secondes"),
    },
}


def interval_in_words(interval: Interval, language: str) -> str:
    """Return an interval in the largest unit in which it is whole."""
    seconds = int(interval.every.total_seconds())
    unit, size = next(each for each in _UNITS if seconds % each[1] == 0)
    one, several = _WORDS.get(language, _WORDS["en"])[unit]
    count = seconds // size
    told = one if count == 1 else several.format(count)
    return told[0].upper() + told[1:]
