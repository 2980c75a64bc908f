"""Signatures of webhooks, as https://www.standardwebhooks.com specifies them: made and verified."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets as random_bytes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from job_processor.clock import Clock
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.integrations.webhooks.failures import WebhookVerificationError
from job_processor.settings import Duration, duration

Secrets: TypeAlias = str | Sequence[str]
"""A secret, or several: each signs, and one that fits verifies."""

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

_PREFIX = "whsec_"
_VERSION = "v1"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret
_NEW = 32  # bytes
_TOLERANCE = 300.0  # seconds between the clocks of sender and receiver, and on the way


def new_secret() -> str:
    """Return a new secret, `whsec_…`, to share between sender and receiver."""
    return _PREFIX + base64.b64encode(random_bytes.token_bytes(_NEW)).decode()


def signed(message_id: str, timestamp: int, body: bytes, secrets: Secrets) -> dict[str, str]:
    """Return the headers of a webhook; with several secrets, one signature of each.

    timestamp: seconds since 1970, of the attempt. Raises InvalidArgumentError.
    """
    content = _content(message_id, str(timestamp), body)
    signatures = [f"{_VERSION},{_signature(key, content)}" for key in keys_of(secrets)]
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: Secrets,
    *,
    tolerance: Duration = _TOLERANCE,
    clock: Clock | None = None,
) -> Any:
    """Verify the signature and age of a webhook; return its parsed body.

    body: the bytes as received. Do not parse and write them again: the signature would not match.
    headers: those of the request; upper and lower case do not matter.
    secrets: one secret, or several while one is replaced.
    tolerance: seconds, or a timedelta; how far its time may be in the past or future.
    clock: replaces the system's clock; for tests.

    A webhook may arrive more than once, with the same `webhook-id`: store the ids to act only once.

    Raises WebhookVerificationError for a webhook that is not genuine or too old, and
    InvalidArgumentError for an invalid secret.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    keys = keys_of(secrets)
    known = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not known.get(name)]
    if missing:
        raise WebhookVerificationError(f"the request has no header {missing[0]}")
    _check_time(known[TIMESTAMP], duration("tolerance", tolerance), clock or Clock())
    content = _content(known[ID], known[TIMESTAMP], raw)
    if not _is_signed(known[SIGNATURE], content, keys):
        raise WebhookVerificationError("no signature of the request fits the secret")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise WebhookVerificationError("the body of the request is no JSON") from error


def keys_of(secrets: Secrets) -> list[bytes]:
    """Return the keys of secrets; raises InvalidArgumentError, without the value of one."""
    several = [secrets] if isinstance(secrets, str) else secrets
    if not isinstance(several, Iterable) or isinstance(several, bytes | Mapping):
        raise _not_allowed(secrets)
    keys = [_key(each) for each in several]
    if not keys:
        raise _not_allowed(secrets)
    return keys


def _key(secret: object) -> bytes:
    if not isinstance(secret, str) or not secret.startswith(_PREFIX):
        raise _not_allowed(secret)
    text = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)  # some leave it out
    except (binascii.Error, ValueError):  # its message has what it was given
        raise _not_allowed(secret) from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise _not_allowed(secret)
    return key


def _not_allowed(secret: object) -> InvalidArgumentError:
    allowed = (
        f"allowed is 'whsec_' and the base64 of {_SHORTEST} to {_LONGEST} bytes, or a list of "
        "these; new_secret() makes one"
    )
    return InvalidArgumentError("secrets", Unshown(secret), allowed)


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _signature(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _is_signed(header: str, content: bytes, keys: Iterable[bytes]) -> bool:
    given = [each.partition(",") for each in header.split(" ")]
    values = [value.encode() for version, _, value in given if version == _VERSION]
    wanted = [_signature(key, content).encode() for key in keys]
    return any(hmac.compare_digest(one, other) for one in values for other in wanted)


def _check_time(timestamp: str, tolerance: float, clock: Clock) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise WebhookVerificationError(f"the header {TIMESTAMP} is no number of seconds")
    age = clock.now().timestamp() - int(timestamp)
    if abs(age) > tolerance:
        way = "old" if age > 0 else "ahead"
        raise WebhookVerificationError(
            f"the request is {abs(age):.0f} s {way}, more than {tolerance:g} s"
        )
