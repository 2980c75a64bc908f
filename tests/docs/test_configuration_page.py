"""docs/configuration.md has every option and every environment variable."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.docs.configuration import PAGE, SUBJECTS, page_with_tables, table_of, variables
from tests.docs.markdown import code, read, table


def test_the_tables_are_those_of_the_code() -> None:
    """Names, types, defaults and docstrings of the code; a wanted change ends in `make api`."""
    assert read(PAGE) == page_with_tables(read(PAGE))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_new_option_would_be_there(subject: str) -> None:
    """A table has each parameter of its subject, and a meaning for it."""
    rows = table(PAGE, ("option", "type", "default", "meaning"), f"options of {subject}")
    parameters = set(inspect.signature(SUBJECTS[subject]).parameters) - {"self", "_"}
    assert {code(row[0]) for row in rows} == parameters
    assert [row[0] for row in rows if not re.sub(r"→ \[more\].*", "", row[3]).strip()] == []


def test_an_option_without_a_docstring_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is made that leaves the meaning of an option out."""

    def subject(known: int, new: int) -> None:
        """Do it.

        known: a number.
        """

    monkeypatch.setitem(SUBJECTS, "Retry", subject)
    with pytest.raises(KeyError, match="new"):
        table_of("Retry")


def test_every_variable_is_there() -> None:
    """A variable of the environment that the package reads is in the table, and no other is."""
    rows = table(PAGE, ("variable", "default", "what it sets"))
    assert sorted(code(row[0]) for row in rows) == sorted(variables())
    assert all(row[2] for row in rows)
