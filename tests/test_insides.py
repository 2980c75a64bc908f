"""Tests go by the public face of a processor, and beyond it through few places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PROCESSOR = TESTS.parent / "src" / "job_processor" / "processor.py"

MOST = 10
"""How many looks at its private parts there may be, those of `tests/insides.py` included."""


def nodes_of(path: Path) -> Iterator[ast.AST]:
    """Return all nodes of the syntax tree of a file."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def is_own(node: ast.Attribute) -> bool:
    """True for what an object looks up on itself."""
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def private_parts() -> set[str]:
    """Return the private names of a processor: what it keeps, and what it can do."""
    methods = {
        node.name
        for node in nodes_of(PROCESSOR)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    kept = {
        node.attr
        for node in nodes_of(PROCESSOR)
        if isinstance(node, ast.Attribute) and is_own(node)
    }
    return {name for name in methods | kept if name.startswith("_") and not name.endswith("__")}


def test_few_tests_look_at_private_parts_of_a_processor() -> None:
    """Whatever the variable is called: an attribute of that name, of anything but oneself."""
    parts = private_parts()
    looks = [
        f"{path.relative_to(TESTS)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and node.attr in parts and not is_own(node)
    ]
    assert {"_parts", "_engine"} <= parts
    assert len(looks) <= MOST, looks
