"""What a codec is: it makes something else of what a job holds before that is stored, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable
from uuid import uuid4

from job_processor.errors import CodecError, InvalidArgumentError
from job_processor.settings import check_int


class Codec(ABC):
    """Base class to compress, encrypt or move the data of jobs before it is stored.

    A codec gets payloads, results, saved states, results of steps and messages, one value at a
    time, as bytes (BSON). Pass it to `JobProcessor(codec=…)`.
    """

    @abstractmethod
    async def encode(self, data: bytes) -> bytes | None:
        """Return the bytes to store instead of `data`; None stores the value as it is."""

    @abstractmethod
    async def decode(self, data: bytes) -> bytes:
        """Return the original bytes of encoded ones; raises CodecError if that is not possible."""

    async def discard(self, data: bytes) -> None:  # noqa: B027  # most keep nothing elsewhere
        """Delete data that `encode` has stored elsewhere; called when a job is deleted by hand."""


@runtime_checkable
class ObjectStore(Protocol):
    """The methods that `Offload` needs of your store: a bucket, a folder or a table.

    Keys are texts of 32 characters.
    """

    async def put(self, key: str, data: bytes) -> object:
        """Store bytes under a new key."""

    async def get(self, key: str) -> bytes | None:
        """Return the bytes of a key; None, or a KeyError, if there are none."""

    async def delete(self, key: str) -> object:
        """Delete a key; an unknown key is not an error."""


_MAGIC = b"OFF1"
_HERE, _THERE = b"i", b"o"
_PLAIN, _CODED = b"-", b"+"
_HEADER = len(_MAGIC) + 2


class Offload(Codec):
    """Keeps large values in a store of yours, such as a bucket, and a reference in the job.

    This is the claim check pattern.

    objects: has the async methods `put(key, data)`, `get(key)` and `delete(key)`: see
        `ObjectStore`.
    above: size in bytes; larger values go to `objects`, smaller ones stay in the job.
    codec: encodes each value first, wherever it is stored: `Offload(bucket, codec=Encryption(…))`.

    Raises InvalidArgumentError.
    """

    def __init__(
        self, objects: ObjectStore, *, above: int = 65_536, codec: Codec | None = None
    ) -> None:
        _check_objects(objects)
        if codec is not None:
            check_codec(codec)
        check_int("above", above, minimum=0)
        self._objects = objects
        self._above = above
        self._codec = codec

    async def encode(self, data: bytes) -> bytes | None:
        """Store a large value and return its reference; None for a small value without a codec."""
        encoded = None if self._codec is None else await self._codec.encode(data)
        body = data if encoded is None else encoded
        kind = _PLAIN if encoded is None else _CODED
        if len(body) > self._above:
            key = uuid4().hex
            await self._objects.put(key, body)
            return _MAGIC + _THERE + kind + key.encode()
        return None if encoded is None else _MAGIC + _HERE + kind + body

    async def decode(self, data: bytes) -> bytes:
        """Return the value of a reference; raises CodecError if it no longer exists."""
        if not data.startswith(_MAGIC):
            if self._codec is None:
                raise CodecError("it was not encoded by this codec, Offload without another one")
            return await self._codec.decode(data)  # from before large values were kept elsewhere
        place, kind, body = data[4:5], data[5:6], data[_HEADER:]
        if place == _THERE:
            body = await self._fetched(body.decode("ascii", "replace"))
        if kind == _PLAIN:
            return body
        if self._codec is None:
            raise CodecError("it was encoded before it was kept elsewhere: give Offload codec=…")
        return await self._codec.decode(body)

    async def discard(self, data: bytes) -> None:
        """Delete the value of a reference."""
        if data.startswith(_MAGIC) and data[4:5] == _THERE:
            await self._objects.delete(data[_HEADER:].decode("ascii", "replace"))

    async def _fetched(self, key: str) -> bytes:
        try:
            body = await self._objects.get(key)
        except KeyError:
            body = None
        if body is None:
            raise CodecError(f"the store of large values has no object {key!r} any more")
        return bytes(body)


def _check_objects(objects: object) -> None:
    if not isinstance(objects, ObjectStore):
        allowed = "allowed is what has async methods put(key, data), get(key) and delete(key)"
        raise InvalidArgumentError("objects", objects, allowed)


def check_codec(codec: object) -> None:
    """Raise InvalidArgumentError for what is no codec."""
    if not isinstance(codec, Codec):
        allowed = "allowed is a Codec, such as Encryption(…) or Offload(…), or None"
        raise InvalidArgumentError("codec", codec, allowed)
