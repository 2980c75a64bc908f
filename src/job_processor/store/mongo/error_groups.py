"""The errors of a name and hour, as one document in the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from job_processor.store.error_groups import GROUPS_KEPT, ErrorGroup, ranked
from job_processor.store.mongo.documents import Document
from job_processor.store.rollups import OTHERS

_KIND = "errors"
_MANY = 1_000_000  # more than there are


def added_errors(groups: Sequence[ErrorGroup]) -> list[Document]:
    """Return the update, as a pipeline, that adds groups of one name and hour.

    What would be more than are kept apart is added to `…` in the same write: so there are never
    more, whoever else adds at the same time.
    """
    first = groups[0]
    given = {"$literal": [_stored(each) for each in groups if each.text != OTHERS]}
    others = {"$literal": [_stored(each) for each in groups if each.text == OTHERS]}
    unknown = {"$not": [{"$in": ["$$each.text", _each("errors", "text")]}]}
    fresh = {"$filter": {"input": given, "as": "each", "cond": unknown}}
    beyond = {"$slice": ["$errors", GROUPS_KEPT, _MANY]}
    return [
        {
            "$set": {
                "kind": _KIND,
                "name": {"$literal": first.name},
                "start": first.start,
                "errors": {"$ifNull": ["$errors", []]},
                "others": {"$ifNull": ["$others", []]},
            }
        },
        {"$set": {"errors": {"$concatArrays": [_added(given), fresh]}}},
        {"$set": {"others": {"$concatArrays": ["$others", beyond, others]}}},
        {"$set": {"errors": {"$slice": ["$errors", GROUPS_KEPT]}, "others": _AS_ONE}},
    ]


def read_errors(documents: Iterable[Mapping[str, Any]]) -> list[ErrorGroup]:
    """Return what documents of any names and hours have, the most frequent first."""
    return ranked(
        ErrorGroup(
            document["name"],
            document["start"].astimezone(UTC),
            each["text"],
            each["count"],
            each["job"],
            each["at"].astimezone(UTC),
        )
        for document in documents
        for each in (*document["errors"], *document["others"])
    )


def _stored(group: ErrorGroup) -> Document:
    text, count = group.text, group.count
    return {"text": text, "count": count, "job": group.last_job, "at": group.last_at}


def _added(given: Document) -> Document:
    """Return the groups that are there, with what is given of the same added."""
    same = {"$eq": ["$$each.text", "$$old.text"]}
    found = {"$filter": {"input": given, "as": "each", "cond": same}}
    total = {
        "text": "$$old.text",
        "count": {"$add": ["$$old.count", "$$new.count"]},
        "job": "$$new.job",
        "at": {"$max": ["$$old.at", "$$new.at"]},
    }
    one = {
        "$let": {
            "vars": {"new": {"$arrayElemAt": [found, 0]}},
            "in": {"$cond": [{"$gt": ["$$new.count", 0]}, total, "$$old"]},
        }
    }
    return {"$map": {"input": "$errors", "as": "old", "in": one}}


def _each(array: str, field: str) -> Document:
    """Return a field of each entry; a path through an array is not followed by every server."""
    return {"$map": {"input": f"${array}", "as": "entry", "in": f"$$entry.{field}"}}


_AS_ONE: Document = {
    "$cond": [
        {"$eq": ["$others", []]},
        [],
        [
            {
                "text": OTHERS,
                "count": {"$sum": _each("others", "count")},
                "job": {"$arrayElemAt": [_each("others", "job"), -1]},
                "at": {"$max": _each("others", "at")},
            }
        ],
    ]
}
"""All that are not kept apart, added up."""
