"""docs/reliability.md names tests: each of them is there."""

from __future__ import annotations

import re

from tests.docs.markdown import ROOT, read, table

PAGE = "docs/reliability.md"


def test_every_test_that_it_names_is_there() -> None:
    """A promise names files or folders of tests that exist, and each promise names some."""
    promises = table(PAGE, ("#", "promise", "how it is kept", "tests"))
    assert len(promises) >= 15
    for number, *_, tests in promises:
        named = re.findall(r"`(tests/[^`]+)`", tests)
        assert named, f"promise {number} names no test"
    for path in re.findall(r"`(tests/[^`]+)`", read(PAGE)):
        assert (ROOT / path).exists(), path


def test_every_fault_is_in_the_table_once() -> None:
    """The table of faults has a line for each, in its short or its long form."""
    faults = table(PAGE, ("fault", "what is checked", "short", "long"))
    assert len({fault for fault, *_ in faults}) == len(faults)
    assert all(checked and (short or long) for _, checked, short, long in faults)
