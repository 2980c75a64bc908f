"""What comes back from a browser as it was sent: signed with the key of the database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any


class Seal:
    """Signs small values, and knows them again."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mark(self, purpose: str, *parts: str) -> str:
        """Return a signature of texts, for one purpose."""
        signed = json.dumps([purpose, *parts]).encode()
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()

    def close(self, purpose: str, value: Any, *, seconds: float) -> str:
        """Return plain JSON values as text that only we can have made, good for so long."""
        kept = json.dumps([value, time.time() + seconds]).encode()
        text = base64.urlsafe_b64encode(kept).decode().rstrip("=")
        return f"{text}.{self.mark(purpose, text)}"

    def open(self, purpose: str, text: str) -> Any:
        """Return the values; None when it is not of ours, of another purpose, or too old."""
        body, _, mark = text.partition(".")
        expected = self.mark(purpose, body)
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), expected.encode()):
            return None
        try:
            kept = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            value, until = json.loads(kept)
        except (binascii.Error, ValueError):  # it was signed, so it cannot be
            return None
        return value if time.time() <= until else None
