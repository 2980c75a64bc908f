"""What `setup()` does: collections, indexes, validator; from many processes at once."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from pymongo.errors import OperationFailure

from job_processor.errors import StoreSetupError
from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.mongo.errors import CANNOT_CREATE_INDEX, is_unauthorized, reason
from job_processor.store.mongo.features import Features, begun
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import (
    GROUPS,
    JOBS,
    LANES,
    MESSAGES,
    SCHEDULES,
    SIGNALS,
    WORKERS,
)
from job_processor.store.mongo.making import (
    RACES,
    IndexRefusedError,
    ensure_indexes,
    existing_indexes,
    history_days,
)
from job_processor.store.mongo.presence import is_node_here, serve_node
from job_processor.store.mongo.schema import ensure_collection, ensure_validator
from job_processor.store.mongo.servers import advice, identify, is_older

_TRIES = 5
_UNKNOWN = "MongoDB from 6.0 on takes it"
_PAUSE = 0.2  # seconds, jittered: another process changes the same at this moment


async def prepare(
    handles: Handles, features: Features, hello: dict[str, Any], logger: logging.Logger
) -> float:
    """Make and verify what the store needs; return the days after which history goes by itself.

    Repeats where another process gets in between. Raises StoreSetupError when the database cannot
    serve as it is.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            days = await _prepare_once(handles, features, logger)
        except OperationFailure as error:
            if is_unauthorized(error):
                raise StoreSetupError(
                    f"{handles.database.name}: the user lacks the role readWrite: {reason(error)}"
                ) from error
            if error.code not in RACES or attempt == _TRIES:
                told = await _advice(handles, hello, error)
                if not told:
                    raise
                name = handles.database.name
                raise StoreSetupError(f"{name}: {reason(error)}; {told}") from error
            await asyncio.sleep(_PAUSE * attempt * random.uniform(0.5, 1.0))
        except IndexRefusedError as refused:
            told = await _advice(handles, hello, refused.error) or _UNKNOWN
            raise StoreSetupError(f"{refused}; {told}") from refused.error
        else:
            if is_older(hello):
                logger.warning(
                    "%s: this server is older than MongoDB 6.0, the oldest that is supported; it "
                    "accepts the indexes, so it is used",
                    handles.database.name,
                )
            return days


async def _advice(handles: Handles, hello: dict[str, Any], error: OperationFailure) -> str:
    """Return what to do where it is known why a server lacks what we need, else nothing."""
    name = await identify(handles.database, hello, reason(error))
    return advice(name, older=error.code == CANNOT_CREATE_INDEX and is_older(hello))


async def _prepare_once(handles: Handles, features: Features, logger: logging.Logger) -> float:
    for collection in handles.all:
        await ensure_collection(handles.database, collection.name)
    found = await existing_indexes(handles.jobs)
    # What a feature needs is made when it is first used; what has been used before is completed.
    wanted = (*JOBS, *begun(found))
    found = await ensure_indexes(handles.jobs, wanted, logger, found=found)
    features.see(found)
    await ensure_indexes(handles.workers, WORKERS, logger)
    await ensure_indexes(handles.signals, SIGNALS, logger)
    await ensure_indexes(handles.lanes, LANES, logger)
    await ensure_indexes(handles.schedules, SCHEDULES, logger)
    await ensure_indexes(handles.messages, MESSAGES, logger)
    await ensure_indexes(handles.groups, GROUPS, logger)
    await ensure_validator(handles.database, handles.jobs, logger)
    if await is_node_here(handles):
        await serve_node(handles, logger)
    days = history_days(found)
    if days != MONGO_MAX_HISTORY_DAYS:
        logger.warning(
            "%s: ended jobs are removed %g days after their end by the index 'ended_at_1', "
            "where the Node package, which refuses to start with another time, has %d; "
            "set history_days instead, and this index back by collMod",
            handles.jobs.name,
            days,
            MONGO_MAX_HISTORY_DAYS,
        )
    return days
