"""Extras: never imported unasked, and known by the name that an error tells."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from tests.docs.markdown import code, table
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
        named |= set(re.findall(r"pip install 'job-processor\[([\w,]+)\]'", text))
        named |= set(re.findall(r'MissingExtraError\("[^"]+", "(\w+)"\)', text))
        named |= set(re.findall(r'require\("(\w+)", "[^"]+"\)', text))
    assert named == set(extras())


def test_extras_are_those_of_the_readmes() -> None:
    """Both READMEs list every extra."""
    for readme, header in (
        ("README.md", ("extra", "what it is for")),
        ("README.fr.md", ("extra", "à quoi il sert")),
    ):
        assert [code(row[0]) for row in table(readme, header)] == list(extras())


def _top(module: str) -> str:
    return module.partition(".")[0]


def _loaded_by(program: str) -> set[str]:
    """Return the modules that a program loads beyond those of a bare interpreter."""
    program = f"import sys; before = set(sys.modules)\n{program}\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())
