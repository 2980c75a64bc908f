"""How indexes are made, found again and verified; from many processes at once.

Where a critical one is there with other options, `setup()` fails and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from job_processor.errors import StoreSetupError
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import (
    DUPLICATE_KEY,
    INDEX_KEY_SPECS_CONFLICT,
    INDEX_OPTIONS_CONFLICT,
    NAMESPACE_NOT_FOUND,
    is_away,
    is_unauthorized,
    reason,
)
from job_processor.store.mongo.handles import Collection
from job_processor.store.mongo.index import TTL, Index, plain
from job_processor.store.mongo.indexes import DAY, ENDED_AT

RACES = frozenset(
    {
        INDEX_OPTIONS_CONFLICT,
        INDEX_KEY_SPECS_CONFLICT,
        112,  # WriteConflict
        117,  # ConflictingOperationInProgress
        276,  # IndexBuildAborted
        12587,  # BackgroundOperationInProgressForNamespace
    }
)
"""What is told where another process does the same at this moment: it is tried again."""


class IndexRefusedError(Exception):
    """The server refuses an index that correctness or the cost of a claim depends on."""

    def __init__(self, collection: str, index: Index, error: OperationFailure) -> None:
        super().__init__(f"the index {index.name!r} of {collection} was refused: {reason(error)}")
        self.error = error


async def ensure_indexes(
    collection: Collection,
    indexes: Iterable[Index],
    logger: logging.Logger,
    *,
    found: list[Document] | None = None,
) -> list[Document]:
    """Make what is missing and return all indexes that are there then.

    found: those that are there, where the caller knows them.

    Raises StoreSetupError when a critical one cannot be had. One that is not critical and cannot be
    had costs time only: a warning.
    """
    if found is None:
        found = await existing_indexes(collection)
    missing = _missing(collection.name, indexes, found, logger)
    if not missing or await _make(collection, missing, logger):
        return [*found, *(index.document for index in missing)]
    found = await existing_indexes(collection)
    for index in missing:
        if index.critical and not any(index.is_served_by(each) for each in found):
            raise StoreSetupError(
                f"the index {index.name!r} of {collection.name} is missing and could not be made; "
                f"make it by hand: db.getCollection('{collection.name}').createIndex"
                f"({index.document['key']}, {dict(index.options) | {'name': index.name}})"
            )
    return found


def history_days(found: Iterable[Mapping[str, Any]]) -> float:
    """Return after how many days the database itself removes settled jobs."""
    seconds = [each[TTL] for each in found if ENDED_AT.is_served_by(each)]
    return min(seconds) / DAY if seconds else float("inf")


def _missing(
    name: str,
    indexes: Iterable[Index],
    found: list[Document],
    logger: logging.Logger,
) -> list[Index]:
    missing = []
    for index in indexes:
        if any(index.is_served_by(each) for each in found):
            continue
        conflict = next((each for each in found if index.conflicts_with(each)), None)
        if conflict is None:
            missing.append(index)
        elif index.critical:
            raise StoreSetupError(_describe_conflict(name, index, conflict))
        else:
            logger.warning("%s", _describe_conflict(name, index, conflict))
    return missing


async def _make(collection: Collection, missing: list[Index], logger: logging.Logger) -> bool:
    """Make indexes, in one command where the server takes them; True when it made them all.

    Where the server refuses, each by itself: so those are there that can be, and it is told which
    one cannot. Raises IndexRefusedError of a critical one.
    """
    try:
        await create(collection, missing)
    except OperationFailure as error:
        if error.code in RACES or is_away(error):
            raise
        if is_unauthorized(error):
            logger.warning(
                "%s: no privilege to make the indexes %s (the role readWrite has it): %s",
                collection.name,
                ", ".join(index.name for index in missing),
                reason(error),
            )
        elif error.code == DUPLICATE_KEY:
            raise StoreSetupError(
                f"{collection.name}: a unique index cannot be made, because several exclusive jobs "
                "with the same name, or several holders of one unique key, are pending, running or "
                f"paused; kill all but one: {reason(error)}"
            ) from error
        elif len(missing) > 1:
            for index in missing:
                await _make(collection, [index], logger)
        elif missing[0].critical:
            raise IndexRefusedError(collection.name, missing[0], error) from error
        else:
            logger.warning(
                "%s: the index %r cannot be made, so what it is for costs more with each job: %s",
                collection.name,
                missing[0].name,
                reason(error),
            )
    else:
        return True
    return False


async def create(collection: Collection, indexes: Iterable[Index], **options: Any) -> None:
    """Make indexes in one command, which is done once they are; those that are there stay.

    One that another process is making is waited for. Raises OperationFailure.
    """
    wanted = [index.document for index in indexes]
    await collection.database.command("createIndexes", collection.name, indexes=wanted, **options)


async def existing_indexes(collection: Collection) -> list[Document]:
    """Return the indexes of a collection; none where there is no collection."""
    try:
        return [dict(each) async for each in await collection.list_indexes()]
    except OperationFailure as error:
        if error.code == NAMESPACE_NOT_FOUND:
            return []
        raise


def _describe_conflict(collection: str, index: Index, found: Mapping[str, Any]) -> str:
    there = {key: plain(value) for key, value in found.items() if key != "v"}
    return (
        f"the index {found['name']!r} of {collection} is {there}, "
        f"but needed is {index.document}; drop it (db.getCollection('{collection}')"
        f".dropIndex('{found['name']}')) and start again: setup() makes it as needed"
    )
