"""What the pages list is what the code has: names, options, defaults."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import job_processor
from job_processor import JobProcessor, JobStatus
from job_processor.jobs.decorator import Decorator
from tests.docs.markdown import PAGES, blocks, code, codes, read, section, table
from tests.docs.public_api import PAGE, public_api, public_names


def test_calls_are_those_of_the_processor() -> None:
    """The table of calls has every public method of JobProcessor with its parameters."""
    rows = table("docs/reference/index.md", ("call", "what it does"))
    listed = [call for row in rows for call in codes(row[0])]
    methods: list[tuple[str, Any]] = inspect.getmembers(JobProcessor, inspect.isfunction)
    methods.append(("job", Decorator.__call__))  # an object with and without parentheses
    assert sorted(listed) == sorted(
        name + _parameters(method) for name, method in methods if not name.startswith("_")
    )


def test_public_names_are_listed_once() -> None:
    """The glossary lists exactly the names of `job_processor.__all__`, in order."""
    rows = table("docs/glossary.md", ("name", "what it is"))
    assert [code(row[0]) for row in rows] == sorted(job_processor.__all__, key=str.lower)
    assert sorted(job_processor.__all__) == sorted(set(job_processor.__all__))


def test_the_public_api_is_that_of_the_file() -> None:
    """docs/public-api.txt has each name and its parameters; a wanted change ends in `make api`."""
    assert public_api() == read(PAGE)


def test_metrics_that_pages_name_are_those_of_their_page() -> None:
    """A page names no metric that docs/prometheus.md, which is compared with the code, has not."""
    rows = table("docs/prometheus.md", ("metric", "labels", "what it is"))
    known = {name for row in rows for name in codes(row[0])}
    named = {page: set(re.findall(r"`(job_processor_[a-z_]+)", read(page))) for page in PAGES}
    assert {page: names - known for page, names in named.items() if names - known} == {}


def test_public_names_exist() -> None:
    """Every name in `__all__` is there."""
    assert [name for name in job_processor.__all__ if not hasattr(job_processor, name)] == []


def test_pages_import_public_names_only() -> None:
    """A page imports what is public: the `__all__` of a public module."""
    allowed = public_names()
    for page in PAGES:
        for block in blocks(page, "python"):
            for module, name in _imports(block.text):
                assert name in allowed.get(module, ()), f"{block.where}: {module}.{name}"


def test_glossary_has_every_state() -> None:
    """The glossary explains every state of a job and of a cron."""
    explained = [code(line) for line in section("docs/glossary.md", "States").splitlines()]
    assert [status for status in JobStatus if status.value not in explained] == []


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _parameters(method: Any) -> str:
    """Return the parameters of a method as one writes a call, without types."""
    _, *parameters = inspect.signature(method).parameters.values()
    written = []
    for parameter in parameters:
        stars = _STARS.get(parameter.kind, "")
        has_default = parameter.default is not parameter.empty
        default = f"={_literal(parameter.default)}" if has_default else ""
        written.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(written)})"


def _imports(source: str) -> list[tuple[str, str]]:
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.partition(".")[0] == "job_processor"
        for alias in node.names
    ]
