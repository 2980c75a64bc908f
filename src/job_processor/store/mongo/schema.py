"""The validator of `<prefix>.jobs`: the types of the shared fields, open to unknown ones.

Its title carries a version, so that a process of an older release never puts its own over a newer
one's. The Node package's, which it installs at each of its starts, is never replaced.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

from pymongo.errors import OperationFailure

from job_processor.store.mongo.documents import JOB_STATUSES, Document
from job_processor.store.mongo.errors import (
    NAMESPACE_EXISTS,
    is_unauthorized,
    is_unsupported,
    reason,
)
from job_processor.store.mongo.handles import Collection, Database, Handles

VERSION = 3
"""Raise it with each change of the rules below."""

_DATE = {"bsonType": "date"}
_DATE_OR_NULL = {"bsonType": ["date", "null"]}
_ID_OR_NULL = {"bsonType": ["objectId", "null"]}
_WHOLE = ["int", "long"]

_OUTPUT: Document = {
    "bsonType": ["object", "null"],
    "required": ["duration", "result", "error"],
    "properties": {
        "duration": {"bsonType": "string"},
        "error": {"bsonType": ["string", "null"]},
        "skip_metadata": {
            "bsonType": ["object", "null"],
            "required": ["reason", "conflicting_job_id", "skipped_at"],
            "properties": {
                "reason": {"enum": ["noConcurrent_conflict", "other"]},
                "conflicting_job_id": _ID_OR_NULL,
                "skipped_at": _DATE,
            },
        },
    },
}

_PROPERTIES: Document = {
    "_id": {"bsonType": "objectId"},
    "name": {"bsonType": "string"},
    "type": {"enum": ["simple", "cron", "cron_task"]},
    "status": {"enum": [*JOB_STATUSES, "active"]},
    "sync": {"bsonType": "bool"},
    "payload": {"bsonType": ["object", "null"]},
    "output": _OUTPUT,
    "scheduled_for": _DATE,
    "started_at": _DATE_OR_NULL,
    "ended_at": _DATE_OR_NULL,
    "updated_at": _DATE,
    "created_at": _DATE,
    "worker_id": _ID_OR_NULL,
    "concurrency": {
        "bsonType": "object",
        "required": ["mode"],
        "properties": {"mode": {"enum": ["concurrent", "exclusive"]}},
    },
    "cron_string": {"bsonType": "string"},
    "sentry_id": {"bsonType": ["string", "null"]},
    "attempt": {"bsonType": _WHOLE, "minimum": 1},
    "crashes": {"bsonType": _WHOLE, "minimum": 0},
    "planned_for": _DATE,
    "priority": {"bsonType": _WHOLE},
    "notes": {"bsonType": "object"},
    "unique_key": {"bsonType": "string"},
    "unique_until": {"bsonType": "date"},
    "lane": {"bsonType": "string"},
    "slots": {"bsonType": "array"},
    "ordered": {"enum": ["continue", "stop"]},
    "due": {"bsonType": "date"},
    "line": {"bsonType": "string"},
    "ready": {"bsonType": "date"},
    "parked": {"bsonType": "string"},
    "rate_lane": {"bsonType": "string"},
    "group": {"bsonType": "objectId"},
    "open_in": {"bsonType": "objectId"},
    "failed_in": {"bsonType": "objectId"},
    "callback_of": {"bsonType": "objectId"},
}

Found = Literal["none", "older", "newer or ours", "node", "foreign"]


def validator(collection_name: str) -> Document:
    """Return our validator for the jobs of a prefix."""
    return {
        "$jsonSchema": {
            "title": f"{collection_name} v{VERSION}",
            "bsonType": "object",
            "required": [
                "_id",
                "name",
                "type",
                "status",
                "scheduled_for",
                "updated_at",
                "created_at",
            ],
            "properties": _PROPERTIES,
        }
    }


def recognize(current: Mapping[str, Any] | None, collection_name: str) -> Found:
    """Tell whose validator `current` is, by its title."""
    if not current:
        return "none"
    title = str((current.get("$jsonSchema") or {}).get("title", ""))
    if title.endswith(" validation schema"):
        return "node"
    match = re.fullmatch(re.escape(collection_name) + r" v(\d+)", title)
    if match is None:
        return "foreign"
    return "older" if int(match[1]) < VERSION else "newer or ours"


async def is_of_node(handles: Handles) -> bool:
    """True when the Node package's validator is in force, which refuses fields of this package."""
    current = await current_validator(handles.database, handles.jobs.name)
    return recognize(current, handles.jobs.name) == "node"


async def ensure_collection(database: Database, name: str) -> None:
    """Create a collection unless it is there; a missing privilege is left to the first write."""
    try:
        await database.command("create", name)
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS and not is_unauthorized(error):
            raise


async def ensure_validator(database: Database, jobs: Collection, logger: logging.Logger) -> None:
    """Put our validator on the jobs, unless the Node package's, a newer or another one is there.

    Documents that broke the rules before may still be updated (validationLevel moderate): a claim
    must not fail for what somebody wrote long ago. A missing privilege is a warning.
    """
    try:
        found = recognize(await current_validator(database, jobs.name), jobs.name)
        if found == "foreign":
            logger.warning("%s has a validator of another program; it is left alone", jobs.name)
        if found not in {"none", "older"}:
            return
        await install(database, jobs.name, validator(jobs.name))
    except OperationFailure as error:
        if not is_unauthorized(error) and not is_unsupported(error):
            raise
        logger.warning(
            "%s gets no validator, which would refuse malformed documents: %s "
            "(the role dbAdmin allows it)",
            jobs.name,
            reason(error),
        )


async def install(
    database: Database, name: str, rules: Mapping[str, Any], *, level: str = "moderate"
) -> None:
    """Put a validator on the jobs, in place of what is there."""
    await database.command(
        "collMod", name, validator=rules, validationLevel=level, validationAction="error"
    )


async def current_validator(database: Database, name: str) -> Mapping[str, Any] | None:
    """Return the validator that is in force, None when there is none."""
    async for info in await database.list_collections(filter={"name": name}):
        found: Mapping[str, Any] | None = (info.get("options") or {}).get("validator")
        return found
    return None
