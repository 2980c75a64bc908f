"""docs/django.md shows a whole program: that of the example, which other tests run."""

from __future__ import annotations

import re

from tests.docs.markdown import ROOT, blocks

EXAMPLE = ROOT / "examples" / "django_shop"


def test_the_program_is_that_of_the_example() -> None:
    """Each part of a block that is said to be of the example stands in that file."""
    shown = set()
    for block in blocks("docs/django.md", "python"):
        match = re.search(r"(?P<file>shop/\w+\.py) of the example", block.marker)
        if match:
            shown.add(match["file"])
            file = (EXAMPLE / match["file"]).read_text(encoding="utf-8")
            for part in re.split(r"\n{3,}", block.text):
                assert part.strip("\n") in file, f"{block.where}: {match['file']}"
    parts = ("settings", "models", "jobs", "views", "urls", "tests")
    assert shown == {f"shop/{name}.py" for name in parts}
