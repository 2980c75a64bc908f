"""What of a payload is hidden: by the names of its fields, at any depth."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor.errors import InvalidArgumentError
from job_processor.redaction import REDACTED, Redaction, without


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWD", "apiKey", "api-key", "Authorization", "access_token", "iban"]
)
def test_names_that_tell_of_secrets(name: str) -> None:
    """However they are written."""
    assert Redaction().fields({name: "x", "to": "y"}) == {name: REDACTED, "to": "y"}


def test_at_any_depth() -> None:
    """Below lists and mappings; the payload itself stays as it is."""
    payload = {"users": [{"name": "Ada", "secret": {"a": 1}}], "n": (1, 2), "none": None}
    assert Redaction().fields(payload) == {
        "users": [{"name": "Ada", "secret": REDACTED}],
        "n": [1, 2],
        "none": None,
    }
    assert payload["users"][0]["secret"] == {"a": 1}  # type: ignore[index]
    assert Redaction().fields(None) is None


def test_a_pattern_of_ones_own() -> None:
    """It takes the place of the usual one."""
    fields = Redaction("^street$").fields({"street": 1, "Street": 2, "password": 3})
    assert fields == {"street": REDACTED, "Street": 2, "password": 3}


def test_what_was_hidden_comes_back() -> None:
    """Edited values stay as edited; hidden ones are the original's, at any depth."""
    original = {"to": "Ada", "token": "abc", "users": [{"secret": 1}, {"secret": 2}]}
    shown = Redaction().fields(original)
    assert Redaction().restored(shown, original) == original
    edited = {**shown, "to": "Bob", "token": "new", "users": [{"secret": REDACTED}]}
    assert Redaction().restored(edited, original) == {
        "to": "Bob",
        "token": "new",
        "users": [{"secret": 1}],
    }
    plain = {"to": REDACTED, "n": [1, None]}
    assert Redaction().restored(plain, None) == plain


@pytest.mark.parametrize("original", [None, {}, {"users": []}, [{"secret": 1}], "text"])
def test_what_was_hidden_and_is_nowhere(original: Any) -> None:
    """It is refused, with its place."""
    with pytest.raises(InvalidArgumentError, match=r"payload\.users\.0\.secret: .* is not allowed"):
        Redaction().restored({"users": [{"secret": REDACTED}]}, original)


def test_secrets_are_found_in_other_texts() -> None:
    """The longest first, so that no end of one is left; what is short would be found anywhere."""
    secrets = Redaction().secrets({"token": ["abcd", "abcdef", "a", 12345, True], "to": "Ada"})
    assert secrets[0] == "abcdef"
    assert sorted(secrets) == ["12345", "abcd", "abcdef"]
    assert without(["xabcdefx", {"k": "abcd 12345"}, 5], secrets) == [
        f"x{REDACTED}x",
        {"k": f"{REDACTED} {REDACTED}"},
        5,
    ]
