"""Whether the Node package works on a database, and the indexes that it alone needs there."""

from __future__ import annotations

import logging

from job_processor.models import cron_id
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import JOBS_OF_NODE, SIGNALS_OF_NODE
from job_processor.store.mongo.making import ensure_indexes
from job_processor.store.mongo.schema import is_of_node


async def is_node_here(handles: Handles) -> bool:
    """True where the Node package has left what only it leaves.

    Its validator, which each of its starts puts there and a move away from it takes; the
    registration of a worker; a cron that it has made. Jobs tell nothing: a plain one of ours has
    the same fields.
    """
    return (
        await is_of_node(handles) or await _has_its_worker(handles) or await _has_its_cron(handles)
    )


async def serve_node(handles: Handles, logger: logging.Logger) -> None:
    """Make what is missing of its indexes, exactly as it makes them at each of its starts."""
    await ensure_indexes(handles.jobs, JOBS_OF_NODE, logger)
    await ensure_indexes(handles.signals, SIGNALS_OF_NODE, logger)


async def _has_its_worker(handles: Handles) -> bool:
    """True for a registration without the timeout that each of ours has."""
    return await handles.workers.find_one({"timeout_s": None}, {"_id": 1}) is not None


async def _has_its_cron(handles: Handles) -> bool:
    """True for a cron whose id is not derived from its name."""
    crons = handles.jobs.find({"type": "cron"}, {"name": 1})
    return any([each["_id"] != cron_id(str(each.get("name"))) async for each in crons])
