"""docs/security.md names a test for each promise, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


def named(row: str) -> list[tuple[str, str]]:
    """Return the files and functions that the last cell of a row names; "…" is the file before."""
    found: list[tuple[str, str]] = []
    for text in re.findall(r"`([^`]+)`", row.rstrip("| ").rpartition(" | ")[2]):
        file, _, function = text.partition("::")
        found.append((found[-1][0] if file == "…" else file, function))
    return found


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("| promise ")])
def test_each_promise_has_its_test(row: str) -> None:
    """The last cell of each row names files that are there, and functions that they have."""
    tests = named(row)
    assert tests, row
    for file, function in tests:
        path = ROOT / file
        assert path.is_file(), file
        if function and path.suffix == ".py":
            text = path.read_text(encoding="utf-8")
            assert re.search(rf"^\s*(async )?def {re.escape(function)}\(", text, re.MULTILINE), (
                function
            )
