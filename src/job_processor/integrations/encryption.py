"""Encryption of what jobs hold: AES-GCM, with keys that can be changed.

Needs the extra `crypto`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping

from job_processor.errors import (
    CodecError,
    InvalidArgumentError,
    MissingExtraError,
    MissingKeyError,
)
from job_processor.handlers.codecs import Codec

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.encryption", "crypto") from error

__all__ = ["Encryption"]

_MAGIC = b"ENC1"
_NONCE = 12  # bytes, as AES-GCM wants them
_LENGTHS = (16, 24, 32)  # bytes of a key
_ID_MAX = 64  # bytes of a key's id


class Encryption(Codec):
    """A codec that encrypts payloads, results and other data of jobs with AES-GCM.

    keys: keys by their ids; each has 16, 24 or 32 bytes, as bytes or base64, as
        `Encryption.new_key()` returns. Ids are stored readably beside the data. Keep an old key as
        long as data is encrypted with it.
    use: the id of the key for new data; None: the only key.

    ```python
    processor = JobProcessor(codec=Encryption({"2026": os.environ["JOBS_KEY"]}))
    ```

    Raises InvalidArgumentError, whose message shows no key.
    """

    def __init__(self, keys: Mapping[str, bytes | str], use: str | None = None) -> None:
        if not isinstance(keys, Mapping) or not keys:
            allowed = 'allowed is a mapping of at least one key: {"2026": Encryption.new_key()}'
            raise InvalidArgumentError("keys", "…", allowed)
        self._raw = {_checked_id(id): _bytes_of(id, key) for id, key in keys.items()}
        self._keys = {id: AESGCM(key) for id, key in self._raw.items()}
        if use is None and len(keys) == 1:
            (use,) = keys
        if use not in self._keys:
            allowed = f"allowed is the id of a key: {', '.join(map(repr, sorted(keys)))}"
            raise InvalidArgumentError("use", use, allowed)
        self._use: str = use

    @staticmethod
    def new_key() -> str:
        """Return a new key of 32 bytes, as base64."""
        return base64.b64encode(AESGCM.generate_key(256)).decode()

    async def encode(self, data: bytes) -> bytes:
        """Return these bytes, encrypted with the current key."""
        id = self._use.encode()
        header, nonce = _MAGIC + bytes([len(id)]) + id, os.urandom(_NONCE)
        return header + nonce + self._keys[self._use].encrypt(nonce, data, header)

    async def decode(self, data: bytes) -> bytes:
        """Return decrypted bytes; raises MissingKeyError and CodecError."""
        if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + 1:
            raise CodecError("it was not encrypted by this codec")
        start = len(_MAGIC) + 1
        end = start + data[start - 1]
        id = data[start:end].decode("utf-8", "replace")
        key = self._keys.get(id)
        if key is None:
            raise MissingKeyError(id, sorted(self._keys))
        nonce, body = data[end : end + _NONCE], data[end + _NONCE :]
        try:
            return key.decrypt(nonce, body, data[:end])
        except (InvalidTag, ValueError) as error:
            told = f"the key {id!r} does not open it: another key, or what is stored was changed"
            raise CodecError(told) from error

    def __repr__(self) -> str:
        """Return it without its keys."""
        return f"Encryption(keys={sorted(self._keys)}, use={self._use!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Return what makes it again in the process of a handler."""
        return type(self), (self._raw, self._use)


def _checked_id(id: object) -> str:
    if not isinstance(id, str) or not id.strip() or len(id.encode("utf-8", "replace")) > _ID_MAX:
        allowed = f"allowed are ids of 1 to {_ID_MAX} bytes of text"
        raise InvalidArgumentError("keys", id, allowed)
    return id


def _bytes_of(id: str, key: object) -> bytes:
    allowed = f"allowed for {id!r} are 16, 24 or 32 bytes, or their base64"
    if isinstance(key, str):
        try:
            key = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidArgumentError("keys", "…", f"{allowed}; it is no base64") from error
    if not isinstance(key, bytes) or len(key) not in _LENGTHS:
        had = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise InvalidArgumentError("keys", "…", f"{allowed}; it has {had}")
    return key
