"""What of a payload is hidden: by the names of its fields, at any depth."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_processor.errors import InvalidArgumentError
from job_processor.redaction import REDACTED, Redaction, without, without_values


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


@pytest.mark.parametrize(
    "name",
    [
        *("aws_access_key_id", "signing_key", "encryptionKey", "pin", "user_pin", "otp", "jwt"),
        *("bearer", "signature", "dsn", "database_url", "DATABASE_URL", "cvc", "pan", "sid"),
        *("credit_card", "cardNumber", "webhook_url", "mongoUri", "PassWord", "pass", "APIKey"),
        *("mot_de_passe", "motDePasse", "mdp", "clé_privée", "numéro_de_carte", "jeton"),
        *(
            "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
            "pass\u200bword",
            "user.password",
            "clientSecret",
            "X-Api-Key",
        ),
    ],
)
def test_other_names_that_tell_of_secrets(name: str) -> None:
    """Abbreviations, French ones, every way to part words, letters that only look different."""
    assert Redaction().fields({name: "x"}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name", ["author", "company", "inside", "spin", "keyboard", "compass", "notes", "tab", "pinned"]
)
def test_names_that_tell_of_nothing(name: str) -> None:
    """A short word counts as a word of its own only."""
    assert Redaction().fields({name: "x"}) == {name: "x"}


HEADERS = {
    "pairs": [["Authorization", "Basic YWRhOnB3"], ["Accept", "text/html"]],
    "named": {"name": "X-Api-Key", "value": "k-4711", "other": "v"},
    "url": "postgres://ada:s3cr3t@db/app",
    "callback": "https://shop.example/done?access_token=abcdef&page=2",
    "line": "Authorization: Bearer abcdefgh12345678 was sent",
    "jwt_in_text": None,
    "text": "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0",
}


def test_credentials_by_their_looks() -> None:
    """Header pairs, named values, passwords and tokens inside of addresses and headers."""
    assert Redaction().fields(HEADERS) == {
        "pairs": [["Authorization", REDACTED], ["Accept", "text/html"]],
        "named": {"name": "X-Api-Key", "value": REDACTED, "other": "v"},
        "url": f"postgres://ada:{REDACTED}@db/app",
        "callback": f"https://shop.example/done?access_token={REDACTED}&page=2",
        "line": f"Authorization: Bearer {REDACTED} was sent",
        "jwt_in_text": REDACTED,
        "text": REDACTED,
    }
    secrets = Redaction().secrets(HEADERS)
    assert {"YWRhOnB3", "k-4711", "s3cr3t", "abcdef", "abcdefgh12345678"} <= set(secrets)


def test_credentials_come_back() -> None:
    """Unchanged texts are the original's; one that was edited around its hidden part is refused."""
    shown = Redaction().shown({"payload": HEADERS})["payload"]
    assert Redaction().restored(shown, HEADERS) == HEADERS
    edited = {**shown, "url": f"postgres://bob:{REDACTED}@db/app"}
    with pytest.raises(InvalidArgumentError, match=r"payload\.url: "):
        Redaction().restored(edited, HEADERS)


def test_a_job_repeats_nothing_that_its_payload_hides() -> None:
    """Neither in its error, attempts, log, progress and result, nor in the payload itself."""
    job = {
        "_id": "4711-hunter2",
        "name": "mail",
        "payload": {"password": "hunter2", "pin": 123, "note": "hunter2 or 1234"},
        "output": {"error": "ValueError: 'hunter2'\nno 123", "result": {"got": "hunter2"}},
        "attempts": [{"number": 1, "error": "hunter2"}],
        "log": [{"text": "sent hunter2"}],
        "progress": {"message": "hunter2", "fraction": 0.5},
    }
    shown = Redaction().shown({"queue": [job]})["queue"][0]
    assert shown == {
        "_id": "4711-hunter2",
        "name": "mail",
        "payload": {
            "password": REDACTED,
            "pin": REDACTED,
            "note": f"{REDACTED} or 1234",
        },
        "output": {
            "error": f"ValueError: '{REDACTED}'\nno {REDACTED}",
            "result": {"got": REDACTED},
        },
        "attempts": [{"number": 1, "error": REDACTED}],
        "log": [{"text": f"sent {REDACTED}"}],
        "progress": {"message": REDACTED, "fraction": 0.5},
    }


@pytest.mark.parametrize("secret", ["line\nof 'quotes'", "a b/c+d", "naïve €", b"byte-text"])
def test_secrets_in_the_forms_in_which_texts_quote_them(secret: str | bytes) -> None:
    """As Python shows them, as JSON writes them, as an address carries them."""
    text = secret.decode() if isinstance(secret, bytes) else secret
    secrets = Redaction().secrets({"token": secret})
    for form in (text, repr(text), json.dumps(text), quote(text), quote_plus(text), repr(secret)):
        told = without(f"<{form}>", secrets)
        assert REDACTED in told, form
        assert text.split("\n")[0] not in told


def test_what_somebody_wrote_about_values() -> None:
    """Stays, without the values."""
    text = without_values("no account 4711 of ada: 'ada' is 3.0", {"n": 3, "to": ["ada", 4711]})
    assert text == "no account [redacted] of [redacted]: [redacted] is [redacted]"


WORDS = [
    "pass",
    "word",
    "api",
    "key",
    "Token",
    "db",
    "url",
    "mot",
    "de",
    "Passe",
    "sid",
    "auth",
    "or",
]
PARTS = st.sampled_from([*WORDS, "_", "-", ".", " ", "é", "Ａ", "\u200b", "0", "x", "S"])  # noqa: RUF001  # wide


@given(st.lists(PARTS, max_size=8).map("".join))
def test_a_database_finds_every_hidden_name(name: str) -> None:
    """The expression that is handed to it matches at least the names that are hidden."""
    redaction = Redaction()
    expression, options = redaction.candidates
    assert options == "i"
    if redaction.hides(name):
        assert re.search(expression, name, re.IGNORECASE)


def test_an_expression_of_ones_own_is_handed_on() -> None:
    """With its options, as the database spells them."""
    assert Redaction(re.compile("^secret", re.IGNORECASE | re.DOTALL)).candidates == (
        "^secret",
        "is",
    )
    assert Redaction("x.y").candidates == ("x.y", "")


def test_what_a_step_is_named_after_is_hidden() -> None:
    """As the value of a field of this name is."""
    steps = [{"name": "new token", "result": "abc"}, {"name": "charge", "result": "abc"}]
    shown = Redaction().shown({"payload": None, "steps": steps})
    assert [step["result"] for step in shown["steps"]] == [REDACTED, "abc"]
