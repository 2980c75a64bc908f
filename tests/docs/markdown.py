"""What the tests read from a Markdown page: its code blocks, tables and links.

A comment on the line above a block says what it is:

    <!-- prints -->                 what the Python blocks since the last such block print, exactly
    <!-- compile only: reason -->   a Python block that cannot run here
    <!-- options of NAME -->        a table of the parameters of NAME
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = tuple(
    page.relative_to(ROOT).as_posix()
    for page in (
        ROOT / "README.md",
        ROOT / "README.fr.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CODE_OF_CONDUCT.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "examples" / "newsletter" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
)
"""The pages that the tests read, as paths from the root of the project."""

_FENCE: Final = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMENT: Final = re.compile(r"<!--\s*(?P<text>[^\n]*?)\s*-->\n*\Z")
_HEADING: Final = re.compile(r"^(?P<marks>#+) (?P<title>.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_CELL: Final = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    page: str
    line: int
    """The line of its first line of text, from 1."""
    language: str
    text: str
    marker: str
    """The comment on the line above it, empty where there is none."""

    @property
    def where(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    """Return the text of a page, given from the root of the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return the blocks of a page in order, all or those of one language."""
    text = read(page)
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            text=match["text"],
            marker=_marker_before(text[: match.start()]),
        )
        for match in _FENCE.finditer(text)
        if language in (None, match["language"])
    ]


def table(page: str, header: Sequence[str], marker: str = "") -> list[list[str]]:
    """Return the rows of the table with this header (and marker); there must be exactly one."""
    found = [
        rows for first, rows, mark in _tables(page) if first == list(header) and marker == mark
    ]
    assert len(found) == 1, f"{page} has {len(found)} tables {list(header)} marked {marker!r}"
    return found[0]


def links(page: str) -> list[str]:
    """Return the targets of the links of a page, without those in code."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", read(page)))
    return [match["target"] for match in _LINK.finditer(prose)]


def anchors(page: str) -> set[str]:
    """Return the names that a link into the page may end with, as code hosts make them."""
    headings = (match["title"].lower() for match in _HEADING.finditer(_FENCE.sub("", read(page))))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def section(page: str, title: str) -> str:
    """Return the text below a heading, up to the next of its level or above."""
    text = read(page)
    found = [match for match in _HEADING.finditer(text) if match["title"] == title]
    assert len(found) == 1, f"{page} has {len(found)} headings {title!r}"
    level = len(found[0]["marks"])
    rest = text[found[0].end() :]
    end = re.search(rf"^#{{1,{level}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def code(cell: str) -> str:
    """Return what a cell has between its first pair of backticks; the cell itself without one."""
    match = re.search(r"`([^`]+)`", cell)
    return match[1] if match else cell


def codes(text: str) -> list[str]:
    """Return everything between backticks in a line of prose."""
    return re.findall(r"`([^`\n]+)`", text)


def _marker_before(text: str) -> str:
    match = _COMMENT.search(text)
    return match["text"] if match else ""


def _tables(page: str) -> Iterator[tuple[list[str], list[list[str]], str]]:
    text = _FENCE.sub("(code)\n", read(page))
    for match in re.finditer(r"(?:^\|.*\|$\n?){2,}", text, re.MULTILINE):
        rows = [_cells(line) for line in match[0].splitlines()]
        yield rows[0], rows[2:], _marker_before(text[: match.start()])


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]
