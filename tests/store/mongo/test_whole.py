"""Documents come back as they were stored, whatever the driver would make of their keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import DBRef, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from job_processor.models import SimpleJob
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.handles import CODEC
from job_processor.store.mongo.whole import RAW_CODEC, decode, decode_all
from tests.mongo_server import EXTERNAL_URL_VARIABLE, external_url
from tests.samples import simple
from tests.store.contract.test_payloads import shape

KEYS = st.sampled_from(["$ref", "$id", "$db", "a", "b", "$ref.x"])
SCALARS = st.sampled_from(
    [None, True, 1, 2**40, 1.5, "text", b"bytes", ObjectId(), datetime(2026, 1, 1, tzinfo=UTC)]
)
VALUES = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=15,
)


@given(documents=st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_a_batch_is_decoded_as_it_was_encoded(documents: list[dict[str, Any]]) -> None:
    """Each mapping is one, with its keys in their order, at any depth."""
    batch = b"".join(map(bson.encode, documents))
    assert [shape(each) for each in decode_all(batch)] == [shape(each) for each in documents]


def test_the_driver_would_make_something_else_of_it() -> None:
    """So it is worth the trouble."""
    value = {"payload": {"$id": 1, "$ref": "a"}}
    assert isinstance(bson.decode(bson.encode(value), CODEC)["payload"], DBRef)
    (decoded,) = decode_all(bson.encode(value))
    assert list(decoded["payload"]) == ["$id", "$ref"]


def test_other_values_are_decoded_as_ever() -> None:
    """Times are in UTC, long numbers are numbers, with a reference beside them and without."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for document in ({"a": moment, "n": Int64(1)}, {"a": moment, "n": Int64(1), "$ref": "x"}):
        raw: Any = bson.decode(bson.encode(document), RAW_CODEC)
        assert decode(raw) == document
        assert decode(raw)["a"].tzinfo is not None


@pytest.mark.mongo
@pytest.mark.skipif(
    external_url() is None,
    reason=f"the server of the tests sorts such keys; name a real one: {EXTERNAL_URL_VARIABLE}",
)
async def test_a_real_server_keeps_the_order(store: MongoStore) -> None:
    """Also where the payload itself looks like a reference."""
    payload = {"$id": 1, "a": [{"b": 1, "$ref": "x", "$id": None}], "$ref": "y", "$db": "z"}
    job = simple(payload=payload)
    await store.intake.insert([job])
    found = await store.history.get(job.id)
    assert isinstance(found, SimpleJob)
    assert shape(found.payload) == shape(payload)
