"""APP, the argument that names an application: what it may be, and what is said otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

APPS = "tests.cli.apps"


@pytest.mark.parametrize("name", ["make", "make_async"])
def test_a_function_that_returns_a_processor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, sqlite_db_url: str, name: str
) -> None:
    """APP may be a function, sync or async."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", sqlite_db_url)
    assert cli("schedule", f"{APPS}:{name}", "fail", "--json").json["name"] == "fail"


def test_a_processor_of_a_module_in_the_working_directory(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """APP may be a JobProcessor, in a module that only the working directory has."""
    monkeypatch.delitem(sys.modules, "shop_here", raising=False)
    (tmp_path / "shop_here.py").write_text(
        "from job_processor import JobProcessor\n"
        "class parts: processor = JobProcessor('sqlite:///shop.db', jobs={})\n"
        "parts.processor.job('tidy')(lambda: None)\n"
    )
    assert cli("schedule", "shop_here:parts.processor", "tidy").text.startswith("Scheduled job")
    assert (tmp_path / "shop.db").exists()


@pytest.mark.parametrize(
    "app",
    [
        "",
        ":",
        "shop",
        "shop:",
        ":processor",
        "shop.py:processor",
        "shop/jobs:processor",
        "./shop:processor",
        ".shop:processor",
        "shop..jobs:processor",
        "shop:processor:more",
        "shop:processor()",
        "shop:a..b",
        "sh op:processor",
        "shop:\x1b[31m",
    ],
)
def test_forms_that_are_not_allowed(cli: Cli, app: str) -> None:
    """What is no module:attribute is refused before anything is imported."""
    cli("worker", app).refused(f"APP: {app!r}", "allowed is module:attribute")


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        ("no_such_module:processor", "no module 'no_such_module'"),
        (f"{APPS}.more:processor", f"no module '{APPS}.more'"),
        (f"{APPS}:missing", f"'{APPS}' has no 'missing'"),
        (f"{APPS}:make.missing", f"'{APPS}' has no 'make.missing'"),
        (f"{APPS}:number", "is an int; allowed are a JobProcessor and a function"),
        (f"{APPS}:make_nothing", "returned nothing (None); allowed are a JobProcessor"),
        (f"{APPS}:make_failing", "calling 'tests.cli.apps:make_failing' failed: KeyError"),
        (f"{APPS}:make_failing", "tests/cli/apps.py, line "),
        (f"{APPS}:fail", "failed: ValueError:  [31mno luck"),
        (f"{APPS}:greet", "TypeError: greet() missing 1 required positional argument: 'payload'"),
        (f"{APPS}:lazy", "reading 'tests.cli.apps:lazy' failed: RuntimeError: not today"),
    ],
)
@pytest.mark.parametrize("command", [["worker"], ["schedule", "NAME"]])
def test_names_that_give_no_processor(cli: Cli, command: list[str], app: str, problem: str) -> None:
    """What APP names and what is wrong with it is said in one line."""
    cli(command[0], app, *command[1:]).refused("APP: ", problem)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("raise RuntimeError('boom\\nand more')", "RuntimeError: boom and more"),
        ("x = (", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_modules_that_fail(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, problem: str
) -> None:
    """A module that cannot be imported is named with its own error and the line of it."""
    monkeypatch.delitem(sys.modules, "broken_shop", raising=False)
    (tmp_path / "broken_shop.py").write_text(source)
    place = f"({tmp_path / 'broken_shop.py'}, line 1)"
    cli("worker", "broken_shop:x").refused("importing 'broken_shop' failed", problem, place)
