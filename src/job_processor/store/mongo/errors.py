"""What pymongo raises, as errors of ours: known to pass, known to be about the input, or neither.

What is on no list is neither: nobody knows whether it happened, and the engine asks again. Only
what is known to be about a document is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from bson import ObjectId
from bson.errors import BSONError, InvalidDocument, InvalidStringData
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)

from job_processor.errors import StoreError, StoreRefusedError, StoreUnavailableError, shorten

BAD_VALUE = 2
UNAUTHORIZED = 13
NAMESPACE_NOT_FOUND = 26
NAMESPACE_EXISTS = 48
CANNOT_CREATE_INDEX = 67
INDEX_OPTIONS_CONFLICT = 85
INDEX_KEY_SPECS_CONFLICT = 86
DOCUMENT_VALIDATION_FAILURE = 121
API_STRICT = 323  # APIStrictError
ATLAS_ERROR = 8000
DUPLICATE_KEY = 11000

_ENCODING_ERRORS = (
    InvalidDocument,
    InvalidStringData,
    DocumentTooLarge,
    UnicodeEncodeError,
    OverflowError,
)
"""What the driver raises before it sends anything: no server can be given this input."""

DRIVER_ERRORS = (PyMongoError, BSONError, *_ENCODING_ERRORS)
"""Everything that the driver raises."""

_PASSING = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound: the server restarted between two batches of a read
        46,  # LockBusy
        64,  # WriteConcernTimeout
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference: a router that knows no primary
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        211,  # KeyNotFound: the keys of the cluster's clock, after a failover
        237,  # CursorKilled
        262,  # ExceededTimeLimit
        365,  # TemporarilyUnavailable
        371,  # UserWritesBlocked: while a cluster is moved
        462,  # IngressRequestRateLimitExceeded
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted: by killOp, or with its session
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        14031,  # OutOfDiskSpace
    }
)
"""Codes after which the same call may succeed later (MongoDB's error_codes.yml)."""

_OF_THE_DOCUMENT = frozenset(
    {
        DOCUMENT_VALIDATION_FAILURE,
        DUPLICATE_KEY,
        15,  # Overflow: nested too deeply
        22,  # InvalidBSON
        52,  # DollarPrefixedFieldName
        55,  # InvalidDBRef
        56,  # EmptyFieldName
        57,  # DottedFieldName
        171,  # CannotIndexParallelArrays: two arrays under one index
        10334,  # BSONObjectTooLarge
        13026,  # what a geographic index of the user's cannot read, here and below
        13027,
        16755,
        16804,
        16766,  # a hashed index of the user's takes no array
        17280,  # KeyTooLong
        17419,  # too large after the update
        17420,  # too large after the update
    }
)
"""Codes that a document brings upon itself: what it is, whatever the server does, is refused."""

_TOO_LARGE = 16 * 1024 * 1024
"""Bytes of an encoded document, the largest that a server takes."""

_UNSUPPORTED = frozenset({59, 115, 238})  # CommandNotFound, CommandNotSupported, NotImplemented

VALIDATOR_ADVICE = (
    "the validator of the shared database refuses the document: the Node package's allows no "
    "field beyond its own, which retries and crash counts need; use a database or a "
    "collection_prefix of its own for these jobs or, once no Node process starts any more, take "
    "its validator away: job-processor migrate-from-node --apply"
)


def translate(error: Exception, address: str) -> StoreError:
    """Return the error of ours that says what `error`, raised by the driver, says."""
    if isinstance(error, StoreError):
        return error
    if is_away(error):
        return StoreUnavailableError(f"{address} does not answer: {reason(error)}")
    if is_refused(error):
        advice = f": {VALIDATOR_ADVICE}" if is_refused_by_validator(error) else ""
        return StoreRefusedError(f"{address} cannot store this: {reason(error)}{advice}")
    return StoreError(f"{address} failed: {reason(error)}")


def is_away(error: Exception) -> bool:
    """True when the database did not answer, or answered that it cannot just now."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return True
    if not isinstance(error, PyMongoError):
        return False
    if error.timeout or error.has_error_label("RetryableWriteError"):
        return True
    if isinstance(error, BulkWriteError):
        # A write concern that was not met is not about a document, whatever its code.
        return bool(error.details.get("writeConcernErrors")) or any(
            map(_passes, write_errors(error))
        )
    return isinstance(error, OperationFailure) and _passes(_details(error))


def is_refused(error: Exception) -> bool:
    """True when what was to be written can never be stored, and nothing else is wrong."""
    if isinstance(error, BulkWriteError):
        errors = write_errors(error)
        return bool(errors) and not is_away(error) and all(map(is_of_document, errors))
    if isinstance(error, OperationFailure):
        return is_of_document(_details(error))
    return isinstance(error, _ENCODING_ERRORS)


def is_of_document(write_error: Mapping[str, Any]) -> bool:
    """True when the document itself is why a write of it was refused."""
    return write_error.get("code") in _OF_THE_DOCUMENT


def unsendable(operation: Mapping[str, Any]) -> str | None:
    """Return why no server can be given this document, None when one can."""
    try:
        size = len(bson.encode(operation))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # it is of this document, whatever it is
        return f"it cannot be encoded: {_without_values(error)}"
    return f"it has {size:,} bytes, which is too large" if size > _TOO_LARGE else None


def is_refused_by_validator(error: Exception) -> bool:
    """True when the collection's validator refused a document (error 121)."""
    if isinstance(error, BulkWriteError):
        return any(each.get("code") == DOCUMENT_VALIDATION_FAILURE for each in write_errors(error))
    return isinstance(error, OperationFailure) and error.code == DOCUMENT_VALIDATION_FAILURE


def failing_document_id(error: OperationFailure) -> ObjectId | None:
    """Return the id of the document that the validator refused, where the server names it."""
    details: Mapping[str, Any] = error.details or {}
    failing = (details.get("errInfo") or {}).get("failingDocumentId")
    return failing if isinstance(failing, ObjectId) else None


def is_unauthorized(error: Exception) -> bool:
    """True when our user lacks the privilege; Atlas tells that, and more, by a code of its own."""
    if not isinstance(error, OperationFailure):
        return False
    if error.code == ATLAS_ERROR:
        return "not allowed to do action" in str(error)
    return error.code == UNAUTHORIZED


def is_unsupported(error: Exception) -> bool:
    """True when the server knows no such command, as some that are not MongoDB."""
    return isinstance(error, OperationFailure) and error.code in _UNSUPPORTED


def write_errors(error: BulkWriteError | WriteError) -> list[Mapping[str, Any]]:
    """Return what was refused, each with its `index` in the batch and its `code`."""
    details: Mapping[str, Any] = error.details or {}
    if isinstance(error, WriteError):
        return [{**details, "index": 0, "code": error.code}]
    return list(details.get("writeErrors") or [])


def reason(error: Exception) -> str:
    """Return what the server or the driver says, with the code, without dumps and values."""
    if isinstance(error, BulkWriteError):
        said = [*write_errors(error), *(error.details.get("writeConcernErrors") or [])]
        return told(said[0]) if said else "a bulk write failed"
    if isinstance(error, OperationFailure) and error.code is not None:
        return told(_details(error), _words(error))
    return _words(error) if isinstance(error, PyMongoError) else _without_values(error)


def told(error: Mapping[str, Any], words: str | None = None) -> str:
    """Return the words and the code of an error as a server tells it."""
    text = str(error.get("errmsg") or "no reason given") if words is None else words
    text = text.partition(" dup key:")[0]  # what follows are values
    name = error.get("codeName")
    return f"{shorten(text, 500)} (code {error.get('code')}{f', {name}' if name else ''})"


def _words(error: Exception) -> str:
    """Return the message without the driver's dumps of the topology and of the whole reply."""
    text = str(error) or type(error).__name__
    for dump in (", full error:", " (configured timeouts:", ", Timeout: ", ", Topology Descr"):
        text = text.partition(dump)[0]
    return shorten(text, 500)


def _without_values(error: Exception) -> str:
    """Return what an error of encoding says; those of bson quote the document."""
    name = type(error).__name__
    return name if isinstance(error, BSONError) else f"{name}: {shorten(str(error), 200)}"


def _details(error: OperationFailure) -> Mapping[str, Any]:
    return {"errmsg": str(error), **(error.details or {}), "code": error.code}


def _passes(error: Mapping[str, Any]) -> bool:
    """True for a code that passes; Atlas says with one of its own that there is no room."""
    code = error.get("code")
    return code in _PASSING or (code == ATLAS_ERROR and "quota" in str(error.get("errmsg")))
