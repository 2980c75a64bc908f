"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # two megabytes that a worker without a terminal does not need
    from rich.console import Console

_USUAL_WIDTH = 80  # columns
_LEAST_WIDTH = 20  # columns; below, a table shows nothing
_PIPE_WIDTH = 200  # columns; wider than a terminal, so that nothing is cut off


_UNSAFE = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves as it is in a text, and a terminal obeys, or cannot be written at all."""


def print_json(value: Any) -> None:
    """Print plain JSON values on stdout, indented where a person looks."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(value, ensure_ascii=not readable, indent=indent)
    sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def console() -> Console:
    """Return a console on stdout; one that is no terminal is wide."""
    from job_processor.cli.app.terminal import PlainConsole  # noqa: PLC0415  # see above

    return PlainConsole(width=_width())


def say(text: str, style: str = "") -> None:
    """Print text for people as it stands, in a style of rich."""
    from rich.text import Text  # noqa: PLC0415  # see above

    console().print(Text(text, style=style))


def _width() -> int:
    """Return the columns there are; a terminal that says 0, or something else odd, has some too."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told) > 0:
        return max(int(told), _LEAST_WIDTH)
    if not sys.stdout.isatty():
        return _PIPE_WIDTH
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, 0) or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH


def has_live_view(out: Console) -> bool:
    """True when a view can be redrawn in place: a terminal that can move its cursor."""
    return out.is_terminal and not out.is_dumb_terminal


def live_console() -> Console | None:
    """Return a console that has a live view; None where there is none."""
    out = console() if sys.stdout.isatty() else None
    return out if out is not None and has_live_view(out) else None


def plain(text: str) -> str:
    """Return text on one line in which nothing can steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def amount(count: int, noun: str, limit: int | None = None) -> str:
    """Return a count with its noun: `1 job`, `2 jobs`, and `100+ jobs` where counting stopped."""
    more = "+" if limit is not None and count >= limit else ""
    return f"{count}{more} {noun}{'' if count == 1 else 's'}"
