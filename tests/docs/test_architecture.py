"""ARCHITECTURE.md is short, opens with the path of a job, and names what is there."""

from __future__ import annotations

import re

import pytest

from job_processor import settings
from tests.docs.markdown import ROOT, blocks, codes, read

PAGE = "ARCHITECTURE.md"
PACKAGE = ROOT / "src" / "job_processor"
WALK = blocks(PAGE, "text")[0].text
"""Columns: the file (empty: that of the line above), what is called in it, and what it does."""


def steps() -> list[tuple[str, str]]:
    """Return each file of the walk with a name that it defines."""
    found: list[tuple[str, str]] = []
    for line in WALK.splitlines():
        names = re.match(r"(\S*) +((?:\w+[., ] ?)+) {2,}", line)
        if names is not None:
            file = names[1] or found[-1][0]
            found += [(file, name) for name in re.findall(r"\w+", names[2])]
    return found


def test_it_is_short() -> None:
    """It stays under 200 lines, none of its prose wider than 120 columns."""
    lines = read(PAGE).splitlines()
    assert len(lines) < 200
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def test_it_opens_with_the_path_of_a_job() -> None:
    """The first thing to read is the way of a job, in at most twenty lines."""
    titles = re.findall(r"^## (.+)$", read(PAGE), re.MULTILINE)
    assert titles[:3] == ["The path of a job", "The folders", "States"]
    assert len(WALK.splitlines()) <= 20
    assert len(steps()) > 12


@pytest.mark.parametrize(("file", "name"), steps())
def test_each_step_of_the_walk_is_there(file: str, name: str) -> None:
    """A file of the walk, in each store where it has a star, defines what it names."""
    found = [path for path in PACKAGE.glob(file) if "*" not in file or path.parent.name != "desks"]
    assert len(found) == (2 if "*" in file else 1)
    for path in found:
        assert re.search(rf"(def|class) {name}\b", path.read_text(encoding="utf-8")), path


def test_files_that_it_names_exist() -> None:
    """What stands in backticks with the ending of a file is one of the package."""
    named = [each for each in codes(read(PAGE)) if each.endswith((".py", "/"))]
    assert named
    assert [each for each in named if not list(PACKAGE.rglob(each.strip("/")))] == []


def test_numbers_name_their_setting() -> None:
    """A number with a unit is named by its setting, which exists, and is not written out."""
    text = read(PAGE)
    named = re.findall(r"`([A-Z][A-Z_]+)`", text)
    assert named
    assert [name for name in named if not hasattr(settings, name)] == []
    amount = r"(?:\d[\d,.]*|two|three|five|ten|thirty|sixty|an|half an|every few)"
    bare = re.findall(rf"\b{amount} (?:ms|s|seconds?|minutes?|hours?|days?|weeks?)\b", text)
    assert bare == []
