"""How the pages look: the name and colour of an environment, and the theme somebody has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from starlette.requests import Request

from job_processor.errors import InvalidArgumentError
from job_processor.web.cookies import cookie_of

Color: TypeAlias = Literal["red", "orange", "green", "blue", "violet", "grey"]

COOKIE = "job_processor_theme"
THEMES = ("auto", "light", "dark")
"""`auto` is what the reader's system prefers."""

LONGEST_NAME = 40
"""Characters of an environment's name: it stands in the header and in the title of a tab."""

_BY_NAME: tuple[tuple[str, Color], ...] = (("prod", "red"), ("live", "red"), ("stag", "orange"))


@dataclass(frozen=True, slots=True)
class Look:
    """What tells one environment from another."""

    name: str
    """As it stands in the header and the title; "" where there is none."""
    color: Color


def look_of(name: str | None, color: str | None, by: tuple[str, str] = ("name", "color")) -> Look:
    """Return the look of an environment.

    color: None: red for a name that begins with `prod` or `live`, orange for `stag`, else blue.
    by: what the two are called where they were given.

    Raises InvalidArgumentError for a name that is no short text, and for another colour.
    """
    if name is not None and not _is_name(name):
        allowed = f"allowed is a text of 1 to {LONGEST_NAME} characters on one line"
        raise InvalidArgumentError(by[0], name, allowed)
    if color is not None and color not in get_args(Color):
        raise InvalidArgumentError(by[1], color, f"allowed are {', '.join(get_args(Color))}")
    if color is not None and name is None:
        allowed = f"allowed is one together with {by[0]}, which it belongs to"
        raise InvalidArgumentError(by[1], color, allowed)
    name = (name or "").strip()
    chosen: Color = _color(name) if color is None else color  # type: ignore[assignment]  # one of them
    return Look(name, chosen)


def theme_of(request: Request) -> str:
    """Return the theme that somebody has chosen, else `auto`."""
    chosen = cookie_of(request, COOKIE)
    return chosen if chosen in THEMES else "auto"


def _is_name(name: object) -> bool:
    if not isinstance(name, str):
        return False
    return 0 < len(name.strip()) <= LONGEST_NAME and name.strip().isprintable()


def _color(name: str) -> Color:
    found = (color for start, color in _BY_NAME if name.lower().startswith(start))
    return next(found, "blue")
