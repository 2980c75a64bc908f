"""Encryption: what it makes, who can read it, and which keys are allowed."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest

from job_processor import CodecError, InvalidArgumentError, MissingKeyError, Offload
from job_processor.integrations.encryption import Encryption
from tests.jobs.test_codec import KEY, OTHER_KEY, Objects

TEXT = b"what is to be kept to oneself" * 3


@pytest.mark.parametrize("length", [16, 24, 32])
async def test_it_comes_back(length: int) -> None:
    """By the same key, of any length; never twice the same bytes, and nothing readable in them."""
    codec = Encryption({"k": bytes(length)})
    first, second = await codec.encode(TEXT), await codec.encode(TEXT)
    assert first != second
    assert TEXT[:10] not in first
    assert await codec.decode(first) == await codec.decode(second) == TEXT
    again = pickle.loads(pickle.dumps(codec))  # noqa: S301  # our own
    assert await again.decode(first) == TEXT


async def test_keys_rotate() -> None:
    """The one in use encrypts, those that were there before still decrypt."""
    old = await Encryption({"old": KEY}).encode(TEXT)
    both = Encryption({"old": KEY, "new": OTHER_KEY}, use="new")
    new = await both.encode(TEXT)
    assert b"new" in new
    assert await both.decode(old) == await both.decode(new) == TEXT
    only_new = Encryption({"new": OTHER_KEY})
    assert await only_new.decode(new) == TEXT
    with pytest.raises(MissingKeyError, match="'old', and those that are here are 'new'") as told:
        await only_new.decode(old)
    assert (told.value.key_id, told.value.known) == ("old", ("new",))


async def test_what_was_changed() -> None:
    """Another key under the same id, a byte that differs, the id too, a part that is missing."""
    codec = Encryption({"k": KEY, "l": KEY}, use="k")
    data = await codec.encode(TEXT)
    with pytest.raises(CodecError, match="'k' does not open it"):
        await Encryption({"k": OTHER_KEY}).decode(data)
    for place in (5, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 7 if place == 5 else 1  # k becomes l
        with pytest.raises(CodecError):
            await codec.decode(bytes(changed))
    for part in (b"", b"ENC1", data[:8], data[:20], b"other"):
        with pytest.raises(CodecError):
            await codec.decode(part)


@pytest.mark.parametrize(
    ("keys", "use", "told"),
    [
        ({}, None, "at least one key"),
        ({"k": b"short-secret"}, None, "'k' are 16, 24 or 32 bytes.*it has 12 bytes"),
        ({"k": "not base64!"}, None, "no base64"),
        ({"k": 5}, None, "it has int"),
        ({"": KEY}, None, "ids of 1 to 64"),
        ({"k": KEY}, "other", "use: 'other'.*'k'"),
        ({"k": KEY, "l": KEY}, None, "use: None"),
    ],
)
def test_keys_that_are_none(keys: Any, use: Any, told: str) -> None:
    """The error says what is allowed, and never shows a key."""
    with pytest.raises(InvalidArgumentError, match=told) as error:
        Encryption(keys, use)
    assert "short-secret" not in str(error.value)


def test_a_new_key_and_no_key_shown() -> None:
    """A new one is base64 of 32 bytes, and nothing that is shown of a codec has any."""
    key = Encryption.new_key()
    assert len(base64.b64decode(key)) == 32
    assert key != Encryption.new_key()
    assert repr(Encryption({"k": key})) == "Encryption(keys=['k'], use='k')"


async def test_offload_before_and_after() -> None:
    """What was encrypted before it was offloaded is read, and what needs a codec says so."""
    objects, encryption = Objects(), Encryption({"k": KEY})
    both = Offload(objects, above=10, codec=encryption)
    alone = Offload(objects, above=10)
    assert await both.decode(await encryption.encode(TEXT)) == TEXT
    small = await Offload(objects, above=10_000, codec=encryption).encode(TEXT)
    large, plain = await both.encode(TEXT), await alone.encode(TEXT)
    assert small is not None
    assert large is not None
    assert plain is not None
    assert len(objects.kept) == 2
    assert await both.decode(small) == await both.decode(large) == await both.decode(plain) == TEXT
    for data in (small, large, await encryption.encode(TEXT)):
        with pytest.raises(CodecError):
            await alone.decode(data)
    assert await alone.encode(b"tiny") is None
    for data in (small, large, plain):
        await both.discard(data)
    assert objects.kept == {}
    with pytest.raises(CodecError, match="has no object"):
        await alone.decode(plain)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"objects": object()}, "objects"), ({"above": -1}, "above"), ({"codec": "x"}, "codec")],
)
def test_an_offload_that_cannot_be(options: dict[str, Any], told: str) -> None:
    """The error names the argument."""
    with pytest.raises(InvalidArgumentError, match=told):
        Offload(**{"objects": Objects(), **options})
