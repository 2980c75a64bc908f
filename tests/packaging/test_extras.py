"""Extras: never imported unasked, and known by the name that an error tells."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from job_processor.errors import MissingExtraError
from tests.docs.markdown import PAGES, code, table
from tests.packaging.project import ROOT, extras

WITHOUT_EXTRAS = (
    "job_processor.processor",
    "job_processor.sync",
    "job_processor.testing",
    "job_processor.integrations.base",
    "job_processor.integrations.logs",
    "job_processor.cli.app.main",
    "job_processor.cli.supervise.worker",
    "job_processor.cli.supervise.supervisor",
    "job_processor.cli.commands.top",
)
"""What works without any of them."""


def test_the_import_needs_nothing_but_python() -> None:
    """`import job_processor` loads its own file and a few modules of the standard library."""
    loaded = _loaded_by("import job_processor")
    assert {name for name in loaded if name.startswith("job_processor")} == {"job_processor"}
    assert {_top(name) for name in loaded} <= sys.stdlib_module_names | {"job_processor"}
    assert not loaded & {"asyncio", "logging", "datetime", "dataclasses", "inspect", "sqlite3"}


def test_no_extra_is_imported_unasked() -> None:
    """What needs no extra imports no package that one of them brings."""
    optional = set().union(*extras().values())
    brought = {
        module
        for module, distributions in packages_distributions().items()
        if not optional.isdisjoint(distributions)
    }
    assert {"starlette", "sentry_sdk", "watchfiles", "uvloop"} <= brought
    loaded = _loaded_by(f"import {', '.join(WITHOUT_EXTRAS)}")
    assert "job_processor.processor" in loaded
    assert {_top(name) for name in loaded} & brought == set()


def test_errors_name_extras_that_exist() -> None:
    """Each extra is named where it is missed, in the spelling of pyproject.toml."""
    named = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        named |= set(re.findall(r"how_to_install\('(\w+)'\)", text))
        named |= set(re.findall(r'MissingExtraError\("[^"]+", "(\w+)"\)', text))
        named |= set(re.findall(r'require\("(\w+)", "[^"]+"\)', text))
    assert named == set(extras())


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / page for page in PAGES),
        *sorted((ROOT / "examples").rglob("*.py")),
        *sorted((ROOT / "src").rglob("*.txt")),
    ],
    ids=lambda path: path.name,
)
def test_whoever_has_uv_is_told(path: Path) -> None:
    """Wherever it is told how to install the package with pip, it is told with uv."""
    text = path.read_text(encoding="utf-8")
    requirement = r"((?:[\"']?job-processor\b)[^`\n]*?)(?:`|$)"
    with_pip = re.findall(rf"pip install {requirement}", text, re.MULTILINE)
    with_uv = re.findall(rf"uv add {requirement}", text, re.MULTILINE)
    assert with_pip == with_uv


def test_an_error_tells_both_commands() -> None:
    """A missing part is named with the line for pip and the one for uv."""
    told = str(MissingExtraError("the dashboard", "web"))
    assert told == (
        "the dashboard needs more packages: pip install 'job-processor[web]', "
        "or: uv add 'job-processor[web]'"
    )


def test_every_extra_is_listed() -> None:
    """The page on how to install has each, in the order of pyproject.toml."""
    rows = table("docs/install.md", ("extra", "what it is for"))
    assert [code(row[0]) for row in rows] == list(extras())


def _top(module: str) -> str:
    return module.partition(".")[0]


def _loaded_by(program: str) -> set[str]:
    """Return the modules that a program loads beyond those of a bare interpreter."""
    program = f"import sys; before = set(sys.modules)\n{program}\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())
