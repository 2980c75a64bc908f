"""Shows the arguments that a docstring lists, one beside the other, as a list.

A docstring of the project has them as paragraphs of lines `name: meaning`, without a heading, and a
longer meaning goes on in indented lines.
"""

from __future__ import annotations

import re
import textwrap
from typing import Final

_FIRST: Final = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<meaning>.*)$")


def with_lists(text: str) -> str:
    """Return a docstring with its lines of arguments as lists."""
    return "\n\n".join(_as_list(each) for each in re.split(r"\n{2,}", text))


def _as_list(paragraph: str) -> str:
    lines = paragraph.split("\n")
    entries: list[str] = []
    for line in lines:
        match = _FIRST.match(line)
        if match:
            names = ", ".join(f"`{name}`" for name in match["names"].split(", "))
            entries.append(f"- {names}: {match['meaning']}")
        elif entries and line.startswith(" "):
            entries[-1] += " " + line.strip()
        else:
            return textwrap.dedent(paragraph)
    return "\n".join(entries)
