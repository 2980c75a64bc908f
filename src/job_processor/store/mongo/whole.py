"""Whole documents, whose payloads and results come back as they were stored.

The driver makes a `bson.DBRef` of every mapping with the keys `$ref` and `$id`, as JSON schemas and
JSON-LD have them: no mapping any more, and its order is lost. So these documents are taken as
bytes. Where no such key is in them, which costs nothing to see, they are decoded as all others are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import CODEC, Collection

RAW_CODEC = CODEC.with_options(document_class=RawBSONDocument)
_REFERENCE = b"$ref\0"
"""A key in BSON ends with a null byte."""


async def find_whole(
    collection: Collection,
    selection: Mapping[str, Any],
    projection: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Document]:
    """Return what `collection.find()` with these options finds. Raises PyMongoError."""
    # What pymongo's types say of these cursors is of those that give documents.
    found: Any = collection.find_raw_batches(selection, projection, **options)
    return [document async for batch in found for document in decode_all(batch)]


async def find_one_whole(
    collection: Collection,
    selection: Mapping[str, Any],
    projection: Mapping[str, Any] | None = None,
    **options: Any,
) -> Document | None:
    """Return the first that `find_whole` finds; None: there is none."""
    found = await find_whole(collection, selection, projection, limit=-1, **options)
    return found[0] if found else None


async def aggregate_whole(
    collection: Collection, pipeline: list[Document], **options: Any
) -> list[Document]:
    """Return what a pipeline gives. Raises PyMongoError."""
    found: Any = await collection.aggregate_raw_batches(pipeline, **options)
    return [document async for batch in found for document in decode_all(batch)]


def decode_all(batch: bytes) -> list[Document]:
    """Return the documents of a batch."""
    if _REFERENCE not in batch:
        return bson.decode_all(batch, CODEC)
    return [plain(document) for document in bson.decode_all(batch, RAW_CODEC)]


def decode(reply: RawBSONDocument) -> Document:
    """Return the reply to a command."""
    raw = reply.raw
    decoded: Document = plain(reply) if _REFERENCE in raw else bson.decode(raw, CODEC)
    return decoded


def plain(value: Any) -> Any:
    """Return a value of raw documents as dicts and lists, each with its keys in their order."""
    if isinstance(value, RawBSONDocument):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
