"""A database is named in its own room and where it is opened, and nowhere else."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "job_processor"
STORE = PACKAGE / "store"
DATABASES = sorted(made.parent.name for made in STORE.glob("*/store.py"))
_NAMED = re.compile("|".join(DATABASES), re.IGNORECASE)

_ERROR = "what is allowed, told in an error"
_HELP = "help, told where a database is chosen"
_REPORT = "a key or a line of the report on a move: the Node package knows one database"
_CHECKED = "Django's word for a database of its own, and what its check says of that"
_TYPED = "a part of an error that is left out where only texts can be typed"

SPOKEN_OF = {
    ("cli/app/failing.py", "an AsyncDatabase of pymongo, "): _TYPED,
    ("cli/app/failing.py", ", or None ($JOB_PROCESSOR_DB, else 'sqlite:"): _TYPED,
    ("cli/app/main.py", "The application is APP or --app"): _HELP,
    ("cli/app/options.py", "mongodb://host/name, sqlite:///file.db"): _HELP,
    ("cli/commands/demo.py", "Use and keep this database. [default: a temporary SQLite"): _HELP,
    ("cli/demo/play.py", "The database stays until the next demo. --db sqlite:"): _HELP,
    ("cli/views/migration.py", "MongoDB"): _REPORT,
    ("cli/views/migration.py", "mongodb"): _REPORT,
    ("node/migration.py", "allowed is MongoDB"): _ERROR,
    ("node/migration.py", "mongodb"): _REPORT,
    ("integrations/django/conf.py", "allowed are a mongodb:// or sqlite:/// address"): _ERROR,
    ("integrations/django/isolation.py", "jobs.sqlite3"): "the name of a temporary file",
    ("integrations/django/tasks/checking.py", "Jobs are in the SQLite file of Dj"): _CHECKED,
    ("integrations/django/tasks/transactions.py", "mongodb"): _CHECKED,
    ("integrations/django/tasks/transactions.py", "sqlite"): _CHECKED,
    ("jobs/request.py", " days after its end, and its key with it (history_days; M"): _ERROR,
}
"""Texts above the store that speak of a database: file and beginning, and for whom they are.

None of them decides anything.
"""


def above_the_store() -> Iterator[Path]:
    """Give the modules that may import the store, by the contract of the layers."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [line.split(" | ") for line in contracts["contracts"][0]["layers"]]
    below = next(i for i, names in enumerate(layers) if "store" in names)
    for names in layers[:below]:
        for name in names:
            room = PACKAGE / name
            yield from room.rglob("*.py") if room.is_dir() else [room.with_suffix(".py")]
    yield from (PACKAGE / "__init__.py", PACKAGE / "__main__.py")


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Give the texts of a module that are no docstrings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        if isinstance(node, ast.Constant) and isinstance(value, str) and id(node) not in alone:
            yield value


def words_of(tree: ast.AST) -> Iterator[str]:
    """Give every name that a module uses, imports and keywords among them."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            word = getattr(node, field, None)
            if isinstance(word, str):
                yield word


def test_there_are_several_databases_and_much_above_them() -> None:
    """What the other tests of this file go through is found."""
    assert {"mongo", "sqlite"} <= set(DATABASES)
    assert len(list(above_the_store())) > 100


def test_no_code_above_the_store_has_the_name_of_a_database() -> None:
    """A further database needs nothing there: what differs is in `Store.abilities`."""
    named = [
        f"{path.relative_to(PACKAGE)}: {word}"
        for path in above_the_store()
        for word in words_of(ast.parse(path.read_text()))
        if _NAMED.search(word)
    ]
    assert named == []


def test_texts_above_the_store_speak_of_a_database_to_people_only() -> None:
    """Each text that does is known here with its reason, and none is known without cause."""
    found = {
        (str(path.relative_to(PACKAGE)), text)
        for path in above_the_store()
        for text in texts_of(ast.parse(path.read_text()))
        if _NAMED.search(text)
    }
    known = {
        (file, text): [key for key in SPOKEN_OF if key[0] == file and text.startswith(key[1])]
        for file, text in found
    }
    assert [each for each, keys in known.items() if not keys] == []
    assert {key for keys in known.values() for key in keys} == SPOKEN_OF.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_only_where_it_is_opened_a_database_is_imported(path: Path) -> None:
    """No module but `store/opening.py` imports from the room of a database but its own."""
    for database in DATABASES:
        if path == STORE / "opening.py" or path.is_relative_to(STORE / database):
            continue
        room = f"job_processor.store.{database}"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported = {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
            elif isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            else:
                continue
            assert not any(f"{each}.".startswith(f"{room}.") for each in imported)
