"""Tests stand where one looks: in the rooms of the package, and at the top for its top modules."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "job_processor"

BESIDE = {"acceptance", "docs", "examples", "packaging", "typing"}
"""Rooms of tests that are of no room of the package, but of all of it or of what stands beside."""

WHOLE = {"package", "rooms"}
"""Tests at the top that are of no single module."""

LONGEST = 400
"""Lines of a file of tests; what is longer has more than one subject."""


def rooms_of(folder: Path) -> set[str]:
    """Return the packages in a folder."""
    return {made.parent.name for made in folder.glob("*/__init__.py")}


def modules_of(folder: Path) -> set[str]:
    """Return the modules in a folder, tests not counted."""
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("test_")}


def test_the_rooms_are_those_of_the_package() -> None:
    """Each room has its tests in a room of the same name, and few rooms have tests alone."""
    assert rooms_of(TESTS) == rooms_of(PACKAGE) | BESIDE


@pytest.mark.parametrize("path", sorted(TESTS.glob("test_*.py")), ids=lambda path: path.stem)
def test_a_test_at_the_top_is_of_a_module_at_the_top(path: Path) -> None:
    """Its name begins with the module's, of the package or of the helpers of tests."""
    subject = path.stem.removeprefix("test_")
    modules = modules_of(PACKAGE) | modules_of(TESTS) | WHOLE
    assert any(subject == name or subject.startswith(f"{name}_") for name in modules)


def test_a_file_has_one_subject() -> None:
    """None is so long that nobody reads it whole."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in TESTS.rglob("test_*.py")}
    assert {str(path): count for path, count in lines.items() if count > LONGEST} == {}
