"""Which error of ours says what the driver raises: known to pass, about the input, or neither."""

from __future__ import annotations

from typing import Any

import pytest
from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
)

from job_processor import StoreError, StoreRefusedError, StoreUnavailableError
from job_processor.store.mongo.errors import reason, translate, unsendable

Kind = type[StoreError]

QUOTA = "you are over your space quota, using 513 MB of 512 MB"
FORBIDDEN = "user is not allowed to do action [update] on [app.jobs]"

CODES: list[tuple[int, str, Kind]] = [
    (11601, "operation was interrupted", StoreUnavailableError),
    (133, "Could not find host matching read preference", StoreUnavailableError),
    (371, "User writes blocked", StoreUnavailableError),
    (211, "Cache Reader No keys found for HMAC", StoreUnavailableError),
    (262, "operation exceeded time limit", StoreUnavailableError),
    (14031, "Not enough disk space", StoreUnavailableError),
    (8000, QUOTA, StoreUnavailableError),
    (8000, FORBIDDEN, StoreError),
    (18, "Authentication failed", StoreError),
    (13, "not authorized on app to execute command", StoreError),
    (999_999, "an error of a server to come", StoreError),
    (121, "Document failed validation", StoreRefusedError),
    (10334, "BSONObj size: 17000000 is invalid", StoreRefusedError),
    (17419, "Resulting document after update is larger than 16777216", StoreRefusedError),
    (17420, "Document to upsert is larger than 16777216", StoreRefusedError),
    (17280, "key too large to index", StoreRefusedError),
    (11000, "E11000 duplicate key error dup key: { secret: 1 }", StoreRefusedError),
]


def bulk(*errors: tuple[int, str], concern: tuple[int, str] | None = None) -> BulkWriteError:
    """Return what a bulk write raises."""
    write_errors = [
        {"index": index, "code": code, "errmsg": words}
        for index, (code, words) in enumerate(errors)
    ]
    concerns = [{"code": concern[0], "errmsg": concern[1]}] if concern else []
    return BulkWriteError(
        {"writeErrors": write_errors, "writeConcernErrors": concerns, "nMatched": 0}
    )


@pytest.mark.parametrize(("code", "words", "kind"), CODES)
def test_a_code_means_the_same_wherever_it_stands(code: int, words: str, kind: Kind) -> None:
    """As the answer to a command, as the error of a write, and as one of many in a bulk write."""
    details = {"code": code, "errmsg": words}
    for error in (
        OperationFailure(words, code, details),
        WriteError(words, code, details),
        bulk((code, words)),
    ):
        ours = translate(error, "mongodb://host/app")
        assert type(ours) is kind
        assert str(code) in str(ours)
        assert "mongodb://host/app" in str(ours)


@pytest.mark.parametrize(("code", "words", "kind"), CODES)
def test_a_write_concern_is_about_no_document(code: int, words: str, kind: Kind) -> None:
    """Whatever code a missed write concern has: it is written, and the majority may follow."""
    del kind
    details = {"code": code, "errmsg": words}
    for error in (WriteConcernError(words, code, details), bulk(concern=(code, words))):
        assert type(translate(error, "there")) is StoreUnavailableError
    both = bulk((121, "refused"), concern=(code, words))
    assert type(translate(both, "there")) is StoreUnavailableError


@pytest.mark.parametrize(
    ("others", "kind"),
    [
        ([(121, "refused"), (17419, "too large")], StoreRefusedError),
        ([(121, "refused"), (999_999, "new")], StoreError),
        ([(999_999, "new"), (121, "refused")], StoreError),
        ([(121, "refused"), (11601, "interrupted")], StoreUnavailableError),
    ],
)
def test_one_error_that_is_about_no_document_decides(
    others: list[tuple[int, str]], kind: Kind
) -> None:
    """Of several errors of a bulk write: only where each is about its document, nothing passes."""
    assert type(translate(bulk(*others), "there")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AutoReconnect("closed"), StoreUnavailableError),
        (NetworkTimeout("timed out"), StoreUnavailableError),
        (ServerSelectionTimeoutError("no primary"), StoreUnavailableError),
        (WaitQueueTimeoutError("no connection"), StoreUnavailableError),
        (NotPrimaryError("not primary"), StoreUnavailableError),
        (ExecutionTimeout("too slow", 50, {}), StoreUnavailableError),
        (InvalidOperation("Cannot use AsyncMongoClient after close"), StoreError),
        (InvalidBSON("bad bytes"), StoreError),
        (InvalidDocument("cannot encode object: 'secret'"), StoreRefusedError),
        (DocumentTooLarge("update command document too large"), StoreRefusedError),
        (OverflowError("MongoDB can only handle up to 8-byte ints"), StoreRefusedError),
        (UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no surrogates"), StoreRefusedError),
    ],
)
def test_what_the_driver_itself_raises(error: Exception, kind: Kind) -> None:
    """Connections pass, what cannot be encoded never does, and what is read badly is neither."""
    ours = translate(error, "there")
    assert type(ours) is kind
    assert "secret" not in str(ours)


def test_a_reason_has_the_words_and_the_code_and_no_values() -> None:
    """Of a bulk write, whose own words say nothing, those of its first error."""
    assert reason(bulk((121, "Document failed validation"))) == (
        "Document failed validation (code 121)"
    )
    duplicate = bulk((11000, 'E11000 duplicate key error collection: a.b dup key: { k: "secret" }'))
    assert reason(duplicate) == "E11000 duplicate key error collection: a.b (code 11000)"
    named = {"code": 11601, "errmsg": "interrupted", "codeName": "Interrupted"}
    assert reason(OperationFailure("interrupted, full error: {…}", 11601, named)) == (
        "interrupted (code 11601, Interrupted)"
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("fine", None),
        ("\udce9", "UnicodeEncodeError"),
        (2**64, "OverflowError"),
        (object(), "InvalidDocument"),
        ("x" * 17_000_000, "too large"),
    ],
)
def test_what_no_server_can_be_given_is_told_from_the_rest(value: Any, found: str | None) -> None:
    """By trying to encode it, before anything is sent."""
    why = unsendable({"$set": {"output": {"result": value}}})
    assert (why is None) if found is None else (why is not None and found in why)
