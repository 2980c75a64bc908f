"""A moment as the clock of a time zone shows it: `Mon 30 Nov 07:30` in Paris."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

_DAYS: Mapping[str, Sequence[str]] = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "fr": ("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."),
}
_MONTHS: Mapping[str, Sequence[str]] = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": (
        *("janv.", "févr.", "mars", "avr.", "mai", "juin"),
        *("juil.", "août", "sept.", "oct.", "nov.", "déc."),
    ),
}


def zone_of(name: str) -> tzinfo:
    """Return a zone by its IANA name; UTC for one that is not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def place_of(name: str) -> str:
    """Return what people call a zone: `Paris` for `Europe/Paris`."""
    return name.rpartition("/")[2].replace("_", " ")


def local_time(moment: datetime, zone: str, now: datetime, language: str) -> str:
    """Return the day and the time of a moment in a zone; with the year unless it is this one."""
    local, today = moment.astimezone(zone_of(zone)), now.astimezone(zone_of(zone))
    day, month = _DAYS[language][local.weekday()], _MONTHS[language][local.month - 1]
    date = "1er" if language == "fr" and local.day == 1 else str(local.day)
    year = "" if local.year == today.year else f" {local.year}"
    seconds = f":{local.second:02}" if local.second else ""
    return f"{day} {date} {month}{year} {local:%H:%M}{seconds}"
