"""docs/mcp.md lists the tools that the server has, and the bounds that it keeps."""

from __future__ import annotations

from job_processor.integrations.mcp.telling import LONGEST_TEXT, MOST_ITEMS
from tests.docs.markdown import code, read, table
from tests.integrations.mcp.assistant import ACTING, LOOKING

PAGE = "docs/mcp.md"


def test_the_tools_are_those_of_the_server() -> None:
    """Each tool is in its table once."""
    looking = [code(row[0]) for row in table(PAGE, ("tool", "what it does"))]
    acting = [code(row[0]) for row in table(PAGE, ("action", "what it does"))]
    assert (sorted(looking), sorted(acting)) == (sorted(LOOKING), sorted(ACTING))


def test_the_bounds_are_those_of_the_code() -> None:
    """How long a text and a list may be."""
    assert f"{LONGEST_TEXT:,} characters, and of a list after {MOST_ITEMS} items" in read(PAGE)
