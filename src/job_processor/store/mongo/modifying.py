"""Change one document and get it back, without a second copy of it in the oplog.

The driver's own `find_one_and_update` is a retryable write. For each of those the server keeps the
document that it returned once more, payload and all: in the oplog before 5.1, in
`config.image_collection` since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import WriteConcernError

from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Collection
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.whole import RAW_CODEC, decode, find_one_whole


async def find_one_and_update(
    collection: Collection,
    selection: Mapping[str, Any],
    change: Sequence[Document],
    *,
    fields: Mapping[str, int] | None = None,
    sort: Sequence[tuple[str, int]] = (),
    hint: IndexHint = None,
) -> Document | None:
    """Change the first document of a selection and return it as it is then; None: there is none.

    fields: what is returned of it, as a projection; None: all.

    One round trip, which the driver does not repeat. Where the reply of a claim is lost, the run
    stands under its worker's id, and is found there. Raises PyMongoError.
    """
    command: Document = {
        "findAndModify": collection.name,
        "query": selection,
        "update": change,
        "new": True,
        "writeConcern": collection.write_concern.document,
    }
    if fields is not None:
        command["fields"] = fields
    if sort:
        command["sort"] = dict(sort)
    if hint is not None:
        command["hint"] = dict(hint)
    reply = decode(await collection.database.command(command, codec_options=RAW_CODEC))
    unconfirmed = reply.get("writeConcernError")
    if unconfirmed is not None:
        raise WriteConcernError(unconfirmed.get("errmsg"), unconfirmed.get("code"), unconfirmed)
    changed: Document | None = reply["value"]
    return changed


async def update_then_find(
    collection: Collection, selection: Mapping[str, Any], change: Document | Sequence[Document]
) -> Document | None:
    """Change the document whose `_id` a selection has, and read it; None: it did not match.

    A round trip more, for what is rare; the driver repeats the write where its reply is lost.
    Raises PyMongoError.
    """
    result = await collection.update_one(selection, change)
    if result.matched_count == 0:
        return None
    return await find_one_whole(collection, {"_id": selection["_id"]})
