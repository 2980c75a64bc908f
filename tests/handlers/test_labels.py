"""What can be a label, and how many a job has."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import CronDef, DefinitionError, InvalidArgumentError, JobDef
from job_processor.handlers.labels import as_labels, joined, wanted_labels
from tests.definitions import nothing


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (None, ()),
        ([], ()),
        (["tenant:42", "nightly", "tenant:42"], ("tenant:42", "nightly")),
        (("b", "a"), ("b", "a")),
        ({"b", "a"}, ("a", "b")),
        (["x" * 100], ("x" * 100,)),
        (["é ü, 'x' \N{SNOWMAN}"], ("é ü, 'x' \N{SNOWMAN}",)),
        ([f"{n:02}" for n in range(16)], tuple(f"{n:02}" for n in range(16))),
    ],
)
def test_labels_are_kept_in_order_and_once(given: Any, labels: tuple[str, ...]) -> None:
    """A list, a tuple or a set; a set has an order of its own."""
    assert as_labels(given) == labels


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("tenant:42", r"'tenant:42'.*write \['tenant:42'\]"),
        (["x" * 101], "1 to 100 characters"),
        ([""], "1 to 100 characters"),
        ([" "], "blanks at its ends"),
        (["a "], "blanks at its ends"),
        (["a\nb"], "control characters"),
        (["a\0b"], "control characters"),
        (["a\ud800b"], "lone surrogates"),
        ([42], "42.*allowed is a str"),
        (["a", None], "None.*allowed is a str"),
        (42, "42.*a list such as"),
        ({"tenant": 42}, "a list such as"),
        ((n for n in "ab"), "a list such as"),
        ([str(n) for n in range(17)], "17.*at most 16 labels"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(given: Any, told: str) -> None:
    """The error names the argument, the value and what is allowed."""
    with pytest.raises(InvalidArgumentError, match=f"(?s)labels.*{told}"):
        as_labels(given)


def test_those_of_a_definition_count() -> None:
    """Both together are what a job has, each once, at most 16."""
    assert joined(("a", "b"), ["c", "b"]) == ("a", "b", "c")
    assert joined(("a",), None) == ("a",)
    with pytest.raises(InvalidArgumentError, match="at most 16 labels, those of its definition"):
        joined(tuple(map(str, range(10))), [f"x{n}" for n in range(7)])


def test_a_selection_is_of_one_or_of_several() -> None:
    """`label` and `labels` mean the same, and both together mean all of them."""
    assert wanted_labels(None, None) == ()
    assert wanted_labels("a", None) == ("a",)
    assert wanted_labels(None, ["a", "b"]) == ("a", "b")
    assert wanted_labels("c", ["a", "c"]) == ("a", "c")
    with pytest.raises(InvalidArgumentError, match=r"label.*1 to 100"):
        wanted_labels(42, None)


@pytest.mark.parametrize("labels", ["nightly", ["x" * 101], 42])
def test_a_definition_is_checked(labels: Any) -> None:
    """Of a job and of a cron, when it is made."""
    with pytest.raises(DefinitionError, match="labels"):
        JobDef(nothing, labels=labels)
    with pytest.raises(DefinitionError, match="labels"):
        CronDef("@daily", nothing, labels=labels)
    assert JobDef(nothing, labels=["nightly"]).labelled == ("nightly",)
