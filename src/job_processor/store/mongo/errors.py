"""What pymongo raises, as errors of ours: the database is away, or it refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)

from job_processor.errors import StoreError, StoreUnavailableError, shorten

BAD_VALUE = 2
UNAUTHORIZED = 13
NAMESPACE_NOT_FOUND = 26
NAMESPACE_EXISTS = 48
INDEX_OPTIONS_CONFLICT = 85
INDEX_KEY_SPECS_CONFLICT = 86
DOCUMENT_VALIDATION_FAILURE = 121
API_STRICT = 323  # APIStrictError
DUPLICATE_KEY = 11000

DRIVER_ERRORS = (PyMongoError, BSONError)
"""Everything that the driver raises."""

_AWAY = frozenset(
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
        134,  # ReadConcernMajorityNotAvailableYet
        175,  # QueryPlanKilled
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        237,  # CursorKilled
        262,  # ExceededTimeLimit
        365,  # TemporarilyUnavailable
        462,  # IngressRequestRateLimitExceeded
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
"""Codes after which the same call may succeed later (MongoDB's error_codes.yml)."""

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
    if is_refused_by_validator(error):
        return StoreError(f"{address}: {VALIDATOR_ADVICE}")
    return StoreError(f"{address} refused: {reason(error)}")


def is_away(error: Exception) -> bool:
    """True when the database did not answer, or answered that it cannot just now."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return True
    if not isinstance(error, PyMongoError):
        return False
    if error.timeout or error.has_error_label("RetryableWriteError"):
        return True
    if isinstance(error, BulkWriteError):
        return _is_bulk_away(error.details)
    return isinstance(error, OperationFailure) and error.code in _AWAY


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
    """True when our user lacks the privilege."""
    return isinstance(error, OperationFailure) and error.code == UNAUTHORIZED


def write_errors(error: BulkWriteError | WriteError) -> list[Mapping[str, Any]]:
    """Return what was refused, each with its `index` in the batch and its `code`."""
    details: Mapping[str, Any] = error.details or {}
    if isinstance(error, WriteError):
        return [{**details, "index": 0, "code": error.code}]
    return list(details.get("writeErrors") or [])


def reason(error: Exception) -> str:
    """Return the driver's message without its dumps of the topology and of the whole reply."""
    text = str(error) or type(error).__name__
    for dump in (", full error:", " (configured timeouts:", ", Timeout: ", ", Topology Descr"):
        text = text.partition(dump)[0]
    return shorten(text, 500)


def _is_bulk_away(details: Mapping[str, Any]) -> bool:
    """A batch is away when one of its writes is, or when the write concern was not met."""
    return bool(details.get("writeConcernErrors")) or any(
        each.get("code") in _AWAY for each in details.get("writeErrors") or []
    )
