"""What `setup()` does: collections, indexes, validator; from many processes at once."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from pymongo.errors import OperationFailure

from job_processor.errors import StoreSetupError
from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.mongo.errors import is_unauthorized
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import (
    CONFLICTS,
    JOBS,
    SIGNALS,
    WORKERS,
    ensure_indexes,
    history_days,
)
from job_processor.store.mongo.schema import ensure_collection, ensure_validator

_MINIMAL_WIRE_VERSION = 13  # MongoDB 5.0: indexes of one key that differ in their partial filter
_TRIES = 5
_PAUSE = 0.2  # seconds, jittered: another process changes the same at this moment
_RACES = CONFLICTS | {
    112,  # WriteConflict
    117,  # ConflictingOperationInProgress
    276,  # IndexBuildAborted
    12587,  # BackgroundOperationInProgressForNamespace
}


async def prepare(handles: Handles, hello: dict[str, Any], logger: logging.Logger) -> float:
    """Make and verify what the store needs; return the days after which history goes by itself.

    Repeats where another process gets in between. Raises StoreSetupError when the database cannot
    serve as it is.
    """
    if hello.get("maxWireVersion", 0) < _MINIMAL_WIRE_VERSION:
        raise StoreSetupError(
            f"{handles.database.name}: the server is older than MongoDB 5.0, the oldest that serves"
        )
    attempt = 0
    while True:
        attempt += 1
        try:
            return await _prepare_once(handles, logger)
        except OperationFailure as error:
            if is_unauthorized(error):
                raise StoreSetupError(
                    f"{handles.database.name}: the user lacks the role readWrite: {error}"
                ) from error
            if error.code not in _RACES or attempt == _TRIES:
                raise
            await asyncio.sleep(_PAUSE * attempt * random.uniform(0.5, 1.0))


async def _prepare_once(handles: Handles, logger: logging.Logger) -> float:
    for collection in (handles.jobs, handles.workers, handles.signals, handles.settings):
        await ensure_collection(handles.database, collection.name)
    found = await ensure_indexes(handles.jobs, JOBS, logger)
    await ensure_indexes(handles.workers, WORKERS, logger)
    await ensure_indexes(handles.signals, SIGNALS, logger)
    await ensure_validator(handles.database, handles.jobs, logger)
    days = history_days(found)
    if days != MONGO_MAX_HISTORY_DAYS:
        logger.warning(
            "%s: settled jobs are removed %g days after their end by the index 'ended_at_1', "
            "where the Node package, which refuses to start with another time, has %d; "
            "set history_days instead, and this index back by collMod",
            handles.jobs.name,
            days,
            MONGO_MAX_HISTORY_DAYS,
        )
    return days
