"""The indexes that we need, and those of the Node package.

Those that it needs as well are exactly as it makes them, so that either side finds what it needs;
ours have other keys and names. Each costs every write of the jobs that are in it: what it alone
needs is made only where it works, and what a feature needs when it is first used (`features.py`).
An index that correctness or the cost of a claim depends on is critical.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from job_processor.settings import MONGO_MAX_HISTORY_DAYS, NODE_WORKER_TIMEOUT
from job_processor.store.mongo.errors import DUPLICATE_KEY
from job_processor.store.mongo.index import TTL, Index

DAY = 86_400


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


ENDED_AT = Index("ended_at_1", (("ended_at", 1),), {TTL: MONGO_MAX_HISTORY_DAYS * DAY}, True)
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
    BY_TIME,
    DUE,
    # From here on ours.
    CLAIM,
    RUNNING_BY_WORKER,
    NEWEST_BY_NAME,
    NEWEST_BY_TYPE,
    # The Node package's kill of a waiting job leaves no end, so the time to live never comes.
    Index(
        "killed_by_end",
        (("status", 1), ("ended_at", 1)),
        {"partialFilterExpression": {"status": "killed"}},
    ),
)
"""What each database has. A plain job is in nine of them at most, `_id` counted."""

JOBS_OF_NODE = (
    Index("status_1", (("status", 1),)),
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
