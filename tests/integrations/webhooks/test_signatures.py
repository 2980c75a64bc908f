"""Signatures of webhooks: those of the scheme's own library, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from job_processor import InvalidArgumentError
from job_processor.integrations.webhooks import WebhookVerificationError, new_secret, verify
from job_processor.integrations.webhooks.signatures import signed
from job_processor.testing import MovableClock

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET, OTHER = new_secret(), new_secret()
BODY = '{"type":"invoice.paid","data":{"café":1}}'.encode()


def headers(secrets: Any = SECRET, at: datetime = NOW) -> dict[str, str]:
    """Return those of a webhook that is sent at a time."""
    return signed("msg_1", int(at.timestamp()), BODY, secrets)


def check(given: dict[str, str], secrets: Any = SECRET, body: bytes | str = BODY) -> Any:
    """Verify a webhook that comes in now."""
    return verify(body, given, secrets, clock=MovableClock(NOW))


def test_the_library_of_the_scheme_verifies_ours() -> None:
    """What is signed here is genuine for its own library, with any of several secrets."""
    given = headers([OTHER, SECRET], datetime.now(UTC))
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(BODY, given) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(BODY, given)


def test_we_verify_those_of_the_library() -> None:
    """What its own library signs is genuine here, the names of headers in any case."""
    signature = standardwebhooks.Webhook(SECRET).sign("msg_1", NOW, BODY.decode())
    given = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(NOW.timestamp())),
        "Webhook-Signature": f"v1a,AAAA {signature}",
    }
    assert check(given, [OTHER, SECRET]) == check(given, body=BODY.decode()) == json.loads(BODY)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"webhook-id": "msg_2"}, "no signature of the request fits"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) - 1)}, "no signature of the request fits"),
        ({"webhook-signature": "v1,"}, "no signature of the request fits"),
        ({"webhook-signature": "é"}, "no signature of the request fits"),
        ({"webhook-signature": headers()["webhook-signature"].replace("v1,", "v2,")}, "fits"),
        ({"webhook-signature": ""}, "has no header webhook-signature"),
        ({"webhook-id": ""}, "has no header webhook-id"),
        ({"webhook-timestamp": "now"}, "is no number of seconds"),
        ({"webhook-timestamp": "-1"}, "is no number of seconds"),
    ],
)
def test_what_is_not_genuine(changed: dict[str, str], told: str) -> None:
    """Whatever of a request is not as it was signed, it is refused."""
    with pytest.raises(WebhookVerificationError, match=told):
        check(headers() | changed)


def test_another_body_and_another_secret() -> None:
    """A body that was changed is refused, and a secret of somebody else."""
    for body, secret in ((BODY + b" ", SECRET), (BODY, OTHER)):
        with pytest.raises(WebhookVerificationError, match="fits the secret"):
            check(headers(), secret, body)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_one_is_refused(minutes: int) -> None:
    """One that was sent long ago, or that comes from the future, is none of now."""
    given = headers(at=NOW + timedelta(minutes=minutes))
    with pytest.raises(WebhookVerificationError, match="more than 300 s"):
        check(given)
    clock = MovableClock(NOW)
    assert verify(BODY, given, SECRET, tolerance=timedelta(minutes=7), clock=clock)


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2hunter2hunter2hunter2hunter2",
        "whsec_hunter2!",
        "whsec_" + base64.b64encode(b"hunter2").decode(),
        "whsec_" + base64.b64encode(b"hunter2" * 10).decode(),
        b"whsec_hunter2",
        {"whsec_hunter2": 1},
        ["hunter2", SECRET],
        None,
        [],
    ],
)
def test_a_secret_that_cannot_be_one_is_not_told(secret: Any) -> None:
    """The error says what one looks like, and never what was given."""
    with pytest.raises(InvalidArgumentError, match="new_secret") as raised:
        verify(BODY, headers(), secret)
    assert "hunter2" not in f"{raised.value}{raised.value.__cause__}{raised.value.value!r}"
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
