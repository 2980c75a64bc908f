"""The indexes that we need: how they are made, found again and verified.

Those that the Node package needs as well are made exactly as it makes them, so that either side
finds what it needs; ours have other keys and names. Those that it alone needs are made only where
it works: each costs every write. An index that correctness or the cost of a claim depends on
is critical: where it is there with other options, `setup()` fails and says so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from job_processor.errors import StoreSetupError
from job_processor.settings import MONGO_MAX_HISTORY_DAYS, NODE_WORKER_TIMEOUT
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

_DAY = 86_400


def _exclusive(job_type: str) -> Index:
    return Index(
        f"{job_type}_exclusive_unique",
        (("type", 1), ("name", 1)),
        {
            "unique": True,
            "partialFilterExpression": {
                "type": job_type,
                "concurrency.mode": "exclusive",
                "status": {"$in": ["pending", "running", "paused"]},
            },
        },
        critical=True,
    )


ENDED_AT = Index("ended_at_1", (("ended_at", 1),), {TTL: MONGO_MAX_HISTORY_DAYS * _DAY}, True)
CLAIM = Index(
    "claim", (("name", 1), ("status", 1), ("priority", -1), ("scheduled_for", 1)), critical=True
)
"""What a claim walks: per name and state the most urgent first, then the earliest."""

BY_TIME = Index(
    "type_1_name_1_status_1_scheduled_for_1",
    (("type", 1), ("name", 1), ("status", 1), ("scheduled_for", 1)),
)
"""What a claim of the overdue walks: per type, name and state the earliest first."""

DUE = Index("type_1_status_1_scheduled_for_1", (("type", 1), ("status", 1), ("scheduled_for", 1)))
"""What waits of all names: per type and state the earliest first."""

UNIQUE_KEY = Index(
    "unique_key",
    (("name", 1), ("unique_key", 1)),
    {
        "unique": True,
        "partialFilterExpression": {
            "unique_key": {"$exists": True},
            "$or": [
                {"status": {"$in": ["pending", "running", "paused"]}},
                {"unique_until": {"$exists": True}},
            ],
        },
    },
    critical=True,
)
"""At most one job of a name holds a key: while it is active, or has a time until when."""

_WAITS = {"status": {"$in": ["pending", "paused"]}}
_IN_LINE, _IN_LANE, _IN_RATE_LANE, _IS_PARKED = (
    {field: {"$exists": True}, **_WAITS} for field in ("line", "lane", "rate_lane", "parked")
)
SLOTS = Index(
    "slots",
    (("slots", 1),),
    {
        "unique": True,
        "partialFilterExpression": {
            "slots": {"$exists": True},
            "$or": [
                {"status": {"$in": ["pending", "running", "paused"]}},
                {"status": "errored", "ordered": "stop"},
            ],
        },
    },
    critical=True,
)
"""At most one job has a slot of a lane, while it is active or stops its lane: this is the limit."""

LINE = Index(
    "line",
    (("line", 1), ("priority", -1), ("ready", 1)),
    {"partialFilterExpression": _IN_LINE},
    critical=True,
)
"""What waits in line for a slot: per line the most urgent first, then the earliest."""

LINE_BY_TIME = Index("line_by_time", (("ready", 1),), {"partialFilterExpression": _IN_LINE})
LANE = Index(
    "lane",
    (("lane", 1), ("parked", 1), ("priority", -1), ("due", 1), ("_id", 1)),
    {"partialFilterExpression": _IN_LANE},
    critical=True,
)
"""What waits in a lane, the parked apart, in the order in which it is its turn."""

PARKED = Index("parked", (("name", 1), ("parked", 1)), {"partialFilterExpression": _IS_PARKED})
EXPIRING = Index(
    "expiring",
    (("expires_at", 1),),
    {"partialFilterExpression": {"due": {"$exists": True}, "expires_at": {"$exists": True}}},
)
"""What is in a lane or parked by when it expires."""

RATE_LANE = Index(
    "rate_lane",
    (("rate_lane", 1), ("parked", 1), ("priority", -1), ("due", 1), ("_id", 1)),
    {"partialFilterExpression": _IN_RATE_LANE},
    critical=True,
)
"""What waits in a lane of a rate, in the order in which it is its turn."""

NEWEST_BY_LANE = Index(
    "newest_by_lane",
    (("lane", 1), ("_id", -1)),
    {"partialFilterExpression": {"lane": {"$exists": True}}},
)
OPEN_MEMBERS = Index(
    "open_members", (("open_in", 1),), {"partialFilterExpression": {"open_in": {"$exists": True}}}
)
"""The members that their group waits for: one that has ended has left it."""

FAILED_MEMBERS = Index(
    "failed_members",
    (("failed_in", 1),),
    {"partialFilterExpression": {"failed_in": {"$exists": True}}},
)
NEWEST_BY_GROUP = Index(
    "newest_by_group",
    (("group", 1), ("status", 1), ("_id", -1)),
    {"partialFilterExpression": {"group": {"$exists": True}}},
)

WAITING_FOR = Index(
    "waiting_for",
    (("waiting_for", 1),),
    {
        "partialFilterExpression": {
            "waiting_for": {"$exists": True},
            "status": {"$in": ["pending", "paused"]},
        }
    },
    critical=True,
)
"""Who waits for what: a question to it is how each end finds those that come after it."""

AFTER = Index(
    "after",
    (("after", 1), ("_id", 1)),
    {"partialFilterExpression": {"after": {"$exists": True}}},
)

_HAS_TOPICS = {"topics": {"$exists": True}}
TOPICS = Index("topics", (("topics", 1),), {"partialFilterExpression": _HAS_TOPICS})
"""What waits for a message, by its name."""

TIMEOUTS = Index(
    "message_timeouts", (("due", 1), ("_id", 1)), {"partialFilterExpression": _HAS_TOPICS}
)
"""What waits for a message, by the time until when."""
NEWEST_BY_FLOW = Index(
    "newest_by_flow",
    (("flow", 1), ("status", 1), ("_id", -1)),
    {"partialFilterExpression": {"flow": {"$exists": True}}},
)

NEWEST_BY_LABEL = Index(
    "newest_by_label",
    (("labels", 1), ("_id", -1)),
    {"partialFilterExpression": {"labels": {"$exists": True}}},
)

RUNNING_BY_WORKER = Index(
    "running_by_worker",
    (("worker_id", 1), ("status", 1)),
    {"partialFilterExpression": {"status": "running"}},
)

# The pages of find_jobs: a field that is not asked for stands as the list of all its values.
NEWEST_BY_NAME = Index("newest_by_name", (("name", 1), ("status", 1), ("_id", -1)))
NEWEST_BY_TYPE = Index("newest_by_type", (("type", 1), ("status", 1), ("_id", -1)))

JOBS = (
    _exclusive("simple"),
    _exclusive("cron_task"),
    ENDED_AT,
    Index("status_1", (("status", 1),)),  # what asks for a state alone, by hand or by a tool
    BY_TIME,
    DUE,
    # From here on ours.
    CLAIM,
    UNIQUE_KEY,
    RUNNING_BY_WORKER,
    SLOTS,
    LINE,
    LINE_BY_TIME,
    LANE,
    PARKED,
    EXPIRING,
    RATE_LANE,
    NEWEST_BY_LANE,
    WAITING_FOR,
    AFTER,
    TOPICS,
    TIMEOUTS,
    OPEN_MEMBERS,
    FAILED_MEMBERS,
    NEWEST_BY_GROUP,
    NEWEST_BY_FLOW,
    NEWEST_BY_LABEL,
    NEWEST_BY_NAME,
    NEWEST_BY_TYPE,
    # The Node package's kill of a waiting job leaves no end, so the time to live never comes.
    Index(
        "killed_by_end",
        (("status", 1), ("ended_at", 1)),
        {"partialFilterExpression": {"status": "killed"}},
    ),
)
JOBS_OF_NODE = (
    Index("type_1_name_1", (("type", 1), ("name", 1))),
    Index("type_1_scheduled_for_1", (("type", 1), ("scheduled_for", 1))),
)
"""What no statement of ours walks."""

WORKERS = (Index("lastSeen_1", (("lastSeen", 1),), {TTL: int(NODE_WORKER_TIMEOUT)}),)
SIGNALS = (
    Index("created_at_1", (("created_at", 1),), {TTL: 3600}),
    # From here on ours.
    Index("unacknowledged_by_job", (("job_id", 1),), {"partialFilterExpression": {"ack": False}}),
)
UNFINISHED = Index(
    "unfinished",
    (("unfinished", 1), ("_id", 1)),
    {"partialFilterExpression": {"unfinished": True}},
)
GROUPS = (UNFINISHED, Index("completed_at_1", (("completed_at", 1),)))
LANES = (Index("expires_at_1", (("expires_at", 1),), {TTL: 0}),)
SCHEDULES = (
    Index("job_1_due_1", (("job", 1), ("due", 1))),
    Index("moved_at_1", (("moved_at", 1),)),
    Index("ended_at_1", (("ended_at", 1),)),
)
MESSAGES = (Index("expires_at_1", (("expires_at", 1),), {TTL: 0}),)
SIGNALS_OF_NODE = (
    Index("worker_id_1_ack_1_created_at_1", (("worker_id", 1), ("ack", 1), ("created_at", 1))),
)

_CONFLICTS = (*JOBS[:2], UNIQUE_KEY)
"""Whose refusal of a job has a meaning: its name is exclusive, or its unique key is held."""


def is_conflict(error: Mapping[str, Any]) -> bool:
    """True when a duplicate key is one of our unique indexes, and not of one that a user made."""
    if error.get("code") != DUPLICATE_KEY:
        return False
    keys = tuple((error.get("keyPattern") or {}).items())
    if keys:
        return any(keys == index.keys for index in _CONFLICTS)
    return any(index_of(error) == index.name for index in _CONFLICTS)


def index_of(error: Mapping[str, Any]) -> str:
    """Return the name of the index that a duplicate key is in, as far as the server tells it."""
    found = re.search(r" index: (\S+) dup key", str(error.get("errmsg", "")))
    return found[1] if found else ", ".join(error.get("keyPattern") or ("unknown",))


def not_ours(error: Mapping[str, Any]) -> str:
    """Return what there is to say of a unique index that somebody else has made."""
    return (
        f"the unique index {index_of(error)!r} of this collection refuses it, which is none of "
        "this package's; drop it, or use a unique_key instead"
    )


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
    collection: Collection, indexes: Iterable[Index], logger: logging.Logger
) -> list[Document]:
    """Make what is missing and return all indexes that are there then.

    Raises StoreSetupError when a critical one cannot be had. One that is not critical and cannot be
    had costs time only: a warning.
    """
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
    return min(seconds) / _DAY if seconds else float("inf")


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
        await _create(collection, missing)
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
                "of one name, or several holders of one unique key, are pending, running or "
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


async def _create(collection: Collection, indexes: list[Index]) -> None:
    await collection.database.command(
        "createIndexes", collection.name, indexes=[index.document for index in indexes]
    )


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
