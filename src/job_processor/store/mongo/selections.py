"""A selection of jobs as MongoDB is asked for it: by an index, or by a look at each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bson import ObjectId

from job_processor.settings import LAST_ENDED, LOOK_THROUGH
from job_processor.store.mongo.documents import (
    JOB_STATUSES,
    JOB_TYPES,
    WAITING_STATUSES,
    Document,
)
from job_processor.store.mongo.features import FLOWS, GROUPS, LABELS, LINES, Feature
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.indexes import (
    NEWEST_BY_FLOW,
    NEWEST_BY_GROUP,
    NEWEST_BY_LABEL,
    NEWEST_BY_LANE,
    NEWEST_BY_NAME,
    NEWEST_BY_TYPE,
)
from job_processor.store.requests import ID_DIGITS, JobQuery

IS_JOB: Document = {"type": {"$in": JOB_TYPES}, "status": {"$in": JOB_STATUSES}}
"""Leaves out crons, and states of a later version."""

_WALKS = 200
"""MongoDB merges so many walks of an index at most; with more it sorts in memory."""


def is_job(document: Document) -> bool:
    """False for crons."""
    return document.get("type") in JOB_TYPES


def selected(query: JobQuery) -> Document:
    """Return what indexes tell: a field that is not asked for stands as all of its values."""
    selection: Document = {
        "type": query.type or IS_JOB["type"],
        "status": query.status.value if query.status else IS_JOB["status"],
    }
    if query.name is not None:
        selection["name"] = query.name
    elif query.names is not None:
        selection["name"] = {"$in": list(query.names)}
    if query.lane is not None:
        selection["lane"] = query.lane
    if query.group is not None:
        selection["group"] = query.group
    if query.flow is not None:
        selection["flow"] = query.flow
    if query.labels:
        selection["labels"] = {"$all": list(query.labels)}
    if not query.planned:
        selection["$nor"] = [{"type": "cron_task", "status": {"$in": WAITING_STATUSES}}]
    spans: dict[str, Document] = {
        "ended_at": {"$gte": query.ended_from, "$lt": query.ended_to},
        "_id": {"$gt": query.above, "$lt": query.after},
    }
    for field, bounds in spans.items():
        if given := {sign: bound for sign, bound in bounds.items() if bound is not None}:
            selection[field] = given
    return selection


def walks(query: JobQuery) -> Iterator[JobQuery]:
    """Give a selection in parts that MongoDB can walk in the order of ids, without sorting.

    Each name and state is a walk of its own, and it merges at most `_WALKS` of them.
    """
    if query.name is not None or query.names is None or query.is_of_some:
        yield query
        return
    size = _WALKS // (1 if query.status else len(JOB_STATUSES))
    for start in range(0, len(query.names), size):
        yield replace(query, names=query.names[start : start + size])


def within(query: JobQuery, page: Sequence[ObjectId]) -> JobQuery:
    """Return what of a selection may still come into a page that is sorted already."""
    if len(page) < query.limit:
        return query
    if query.oldest_first:
        return replace(query, after=page[-1])
    return replace(query, above=page[-1])


def index_of_ids(query: JobQuery) -> Index:
    """Return the index that has the ids of each lane, name or type in their order."""
    if query.group is not None:
        return NEWEST_BY_GROUP
    if query.lane is not None:
        return NEWEST_BY_LANE
    if query.flow is not None:
        return NEWEST_BY_FLOW
    if query.labels:
        return NEWEST_BY_LABEL
    by_type = query.name is None and query.names is None
    return NEWEST_BY_TYPE if by_type else NEWEST_BY_NAME


def features_of(query: JobQuery) -> Iterator[Feature]:
    """Give what a job uses that is in a selection."""
    if query.lane is not None:
        yield LINES
    if query.group is not None:
        yield GROUPS
    if query.flow is not None:
        yield FLOWS
    if query.labels:
        yield LABELS


def looked_through(query: JobQuery) -> list[Document]:
    """Return the stages that look at the first jobs of a selection, one by one."""
    condition: Document = {}
    if query.worker_id is not None:
        condition["worker_id"] = query.worker_id
    if query.id_end is not None:
        digits = len(query.id_end)
        end = {"$substrCP": [{"$toString": "$_id"}, ID_DIGITS - digits, digits]}
        condition["$expr"] = {"$eq": [end, query.id_end]}
    if query.error is not None:
        condition["output.error"] = {"$regex": re.escape(query.error), "$options": "i"}
    if query.payload is not None:
        path, value = query.payload
        condition[".".join(("payload", *path))] = {"$in": _values(value)}
    stages = _in_order(query)
    if query.looks_through:
        stages += [{"$limit": LOOK_THROUGH}, {"$match": condition}]
    return stages


def reached(query: JobQuery) -> list[Document]:
    """Return the stages that give the last job of those, and the one behind it."""
    last: list[Document] = [{"$skip": LOOK_THROUGH - 1}, {"$limit": 2}, {"$project": {"_id": 1}}]
    return [*_in_order(query), *last]


def _in_order(query: JobQuery) -> list[Document]:
    """Return the stages that give what indexes tell of a selection, in its order."""
    order = {"_id": 1 if query.oldest_first else -1}
    stages: list[Document] = [{"$match": selected(query)}]
    if query.is_of_a_time and not is_of_a_group(query):
        stages += [{"$sort": {"ended_at": -1}}, {"$limit": LAST_ENDED}]
    return [*stages, {"$sort": order}]


def is_of_a_group(query: JobQuery) -> bool:
    """True where an index has the ids of what is selected in their order."""
    return (query.lane, query.group, query.flow, query.labels) != (None, None, None, ())


def _values(text: str) -> list[Any]:
    """Return the values that one may mean by a text."""
    values: list[Any] = [text]
    if ObjectId.is_valid(text):
        values.append(ObjectId(text))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return values
    if not isinstance(value, dict | list) and not (isinstance(value, int) and abs(value) >> 63):
        values.append(value)
    return values
