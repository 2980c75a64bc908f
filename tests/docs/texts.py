"""What users read besides pages: docstrings of the public API, help of commands, messages."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.docs.public_api import MODULES, ROOT, public_names

SOURCE: Final = ROOT / "src" / "job_processor"
Block = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parsed(path: Path) -> ast.Module:
    """Return a file of the package as a tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def docstrings() -> dict[str, str]:
    """Return the docstring of each public name, with those of its public members."""
    found: dict[str, str] = {}
    for module in MODULES:
        for name in public_names()[module]:
            value = inspect.unwrap(getattr(import_module(module), name))
            if getattr(value, "__module__", "").startswith("job_processor"):
                found[f"{module}.{name}"] = "\n\n".join(_of(value))
    return found


def _of(value: Any) -> Iterator[str]:
    kinds = value.__mro__ if inspect.isclass(value) else (value,)
    for kind in kinds:
        if kind.__module__.partition(".")[0] == "job_processor" and hasattr(kind, "__name__"):
            yield from _texts(_node(kind))


def _node(value: Any) -> Block:
    path = Path(inspect.getfile(value))
    named = (each for each in ast.walk(parsed(path)) if isinstance(each, Block))
    return next(each for each in named if getattr(each, "name", "") == value.__name__)


def _texts(node: Block) -> Iterator[str]:
    """Yield the docstrings of a class or function, of its public members and attributes."""
    for each in node.body:
        if isinstance(each, ast.Expr) and _is_text(each.value):
            yield ast.literal_eval(each.value)
        elif isinstance(each, Block) and isinstance(node, ast.ClassDef):
            yield from () if each.name.startswith("_") else _texts(each)


def messages() -> dict[str, str]:
    """Return the texts of each file of the package that are no docstrings, such as of errors.

    A text of one or two words is a name, or a statement of SQL.
    """
    return {
        path.relative_to(ROOT).as_posix(): "\n\n".join(
            text for text in _messages(parsed(path)) if len(text.split()) > 2
        )
        for path in sorted(SOURCE.rglob("*.py"))
    }


def _messages(tree: ast.Module) -> Iterator[str]:
    described = {
        id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)
    }  # docstrings stand alone
    inside: set[int] = set()
    for node in ast.walk(tree):  # a text with values before its parts
        if isinstance(node, ast.JoinedStr):
            inside |= {id(each) for each in node.values}
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values
            )
        elif _is_text(node) and id(node) not in described | inside:
            yield ast.literal_eval(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
