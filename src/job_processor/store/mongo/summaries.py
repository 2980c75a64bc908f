"""Extracts of jobs, made by MongoDB: what a row of a list shows, whatever the job holds.

The expressions are those of MongoDB 5.0. A value of any type is measured as BSON, so that what
somebody else has written is no surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job_processor.clock import EPOCH
from job_processor.redaction import Redaction
from job_processor.store.lenient import (
    fields_of,
    id_of,
    moment,
    status_of,
    text_of,
    text_or_none,
    texts_of,
    whole,
)
from job_processor.store.mongo.documents import Document
from job_processor.store.plain import crash_of, progress_of, skip_of
from job_processor.store.summaries import (
    BEHIND,
    BETWEEN,
    FIELDS,
    NAME,
    READ,
    READ_OF_VALUE,
    SEARCHED,
    SECRET,
    SECRETS,
    VALUE,
    WHOLE,
    Extract,
    JobSummary,
    Part,
    summary_of,
)

_DEPTH = 5
"""Levels of a payload in which hidden values are looked for."""

_ITEMS = 1000
"""Fields and items of each level that are looked at."""

_NAMING = ["name", "key", "header", "field"]
"""Fields that name the `value` beside them."""

_OVER = "\0" * (SECRETS + 1)
"""Stands for more than can be looked through: too long to be taken for all there is."""


_PLAIN: Document = {
    "name": 1,
    "type": 1,
    "status": 1,
    "scheduled_for": 1,
    "due": 1,
    "lane": 1,
    "parked": 1,
    "topics": 1,
    "rate_lane": 1,
    "labels": 1,
    "created_at": 1,
    "updated_at": 1,
    "started_at": 1,
    "ended_at": 1,
    "expires_at": 1,
    "worker_id": 1,
    "concurrency.mode": 1,
    "attempt": 1,
    "priority": 1,
    "sync": 1,
    "sentry_id": 1,
}


def shown_fields(redaction: Redaction | None) -> Document:
    """Return the projection that makes an extract."""
    shown = {**_PLAIN, "payload": _part("$payload"), "output": _output(), "notes": _progress()}
    shown["crash"] = _small("$crash")
    return shown if redaction is None else {**shown, "secrets": _secrets(redaction)}


def bare_fields() -> Document:
    """Return the projection for documents of which the server cannot make an extract."""
    unread = {"other": "object"}
    output = {"duration": _text("$output.duration"), "error": _text("$output.error")}
    return {
        **_PLAIN,
        "payload": {"$literal": unread},
        "output": _if(_is("$output", "object"), output, None),
        "notes": _progress(),
        "secrets": {"$literal": None},
    }


def to_summary(document: Mapping[str, Any], redaction: Redaction | None) -> JobSummary:
    """Return what is shown of a document that was projected so."""
    return summary_of(_extract(document), redaction)


def _extract(document: Mapping[str, Any]) -> Extract:
    id = document["_id"]
    made = getattr(id, "generation_time", EPOCH)
    created = moment(document.get("created_at")) or made
    output = fields_of(document.get("output"))
    notes = fields_of(document.get("notes"))
    return Extract(
        plain={
            "id": id,
            "type": text_of(document["type"]),
            "name": text_of(document.get("name", "")),
            "status": status_of(document["status"]),
            "scheduled_for": moment(document.get("due"))
            or moment(document.get("scheduled_for"))
            or created,
            "lane": text_or_none(document.get("lane")),
            "parked": text_or_none(document.get("parked")),
            "topics": texts_of(document.get("topics")),
            "rate_lane": text_or_none(document.get("rate_lane")),
            "labels": texts_of(document.get("labels")),
            "created_at": created,
            "updated_at": moment(document.get("updated_at")) or created,
            "started_at": moment(document.get("started_at")),
            "ended_at": moment(document.get("ended_at")),
            "expires_at": moment(document.get("expires_at")),
            "worker_id": id_of(document.get("worker_id")),
            "exclusive": fields_of(document.get("concurrency")).get("mode") == "exclusive",
            "attempt": whole(document.get("attempt"), 1),
            "priority": whole(document.get("priority"), 0),
            "sync": document.get("sync") is True,
            "sentry_id": text_or_none(document.get("sentry_id")),
            "crash": crash_of(document.get("crash")),
        },
        progress=progress_of(notes.get("fraction"), notes.get("message"), notes.get("at")),
        payload=_part_of(document.get("payload")),
        duration=text_of(output.get("duration") or "--") if output else None,
        error=text_or_none(output.get("error")),
        result=_part_of(output.get("result")),
        skip=skip_of(output.get("skip")),
        secrets=document.get("secrets", ""),
    )


def _part_of(value: Any) -> Part | None:
    """Return the part that `_part` has made."""
    if not isinstance(value, Mapping):
        return None
    if "fields" in value:
        return Part("fields", [(each["k"], _item_of(each["v"])) for each in value["fields"]])
    return _item_of(value)


def _item_of(value: Mapping[str, Any]) -> Part:
    if "whole" in value:
        return Part("whole", value["whole"])
    return Part("text", value["text"]) if "text" in value else Part("other", value["other"])


# --- expressions ----------------------------------------------------------------------------------


def _let(value: Any, body: Any) -> Document:
    return {"$let": {"vars": {"it": {"$ifNull": [value, None]}}, "in": body}}


def _is(value: Any, *types: str) -> Document:
    return {"$in": [{"$type": value}, list(types)]}


def _if(condition: Any, then: Any, otherwise: Any) -> Document:
    return {"$cond": [condition, then, otherwise]}


def _fits(value: Any, size: int) -> Document:
    """True for a value of at most so many bytes; also what is missing fits."""
    return {"$lte": [{"$bsonSize": {"v": value}}, size + _ENVELOPE]}


_ENVELOPE = 8
"""Bytes of a document around one value."""


def _item(value: Any, size: int, read: int = READ) -> Document:
    """Return a small value whole, the beginning of a text, and of another value its type."""
    return _let(
        value,
        _if(
            _fits("$$it", size),
            {"whole": "$$it"},
            _if(
                _is("$$it", "string"),
                {"text": {"$substrCP": ["$$it", 0, read]}},
                {"other": {"$type": "$$it"}},
            ),
        ),
    )


def _part(value: Any) -> Document:
    """Return a value as `_item` does, of a larger mapping its first fields; null as null."""
    first = {"$slice": [{"$objectToArray": "$$it"}, FIELDS]}
    field = {
        "k": {"$substrCP": ["$$field.k", 0, NAME + 1]},
        "v": _item("$$field.v", 2 * VALUE, READ_OF_VALUE),
    }
    fields = {"fields": {"$map": {"input": first, "as": "field", "in": field}}}
    large_mapping = {"$and": [_is("$$it", "object"), {"$not": [_fits("$$it", WHOLE)]}]}
    return _let(
        value,
        _if(
            _is("$$it", "null"),
            None,
            _if(large_mapping, fields, _item("$$it", WHOLE)),
        ),
    )


def _text(value: Any) -> Document:
    """Return the beginning of a text, another value only where it is small."""
    return _let(
        value,
        _if(
            _is("$$it", "string"),
            {"$substrCP": [{"$ltrim": {"input": "$$it"}}, 0, READ]},
            _small("$$it"),
        ),
    )


def _small(value: Any) -> Document:
    return _if(_fits(value, WHOLE), value, None)


def _output() -> Document:
    return _if(
        _is("$output", "object"),
        {
            "duration": _text("$output.duration"),
            "error": _text("$output.error"),
            "result": _part("$output.result"),
            "skip": _small("$output.skip_metadata"),
        },
        None,
    )


def _progress() -> Document:
    return _if(
        _is("$notes.progress", "object"),
        {
            "fraction": _small("$notes.progress.fraction"),
            "message": _text("$notes.progress.message"),
            "at": _small("$notes.progress.at"),
        },
        None,
    )


def _secrets(redaction: Redaction) -> Document:
    """Return names that may hide, with the beginnings of what stands under them, as one text.

    Empty where nothing that is shown could repeat it, null where it is not looked for.
    """
    tells = {
        "$or": [
            _is("$output.error", "string"),
            {"$not": [_is("$output.result", "missing", "null", "undefined")]},
            _is("$notes.progress.message", "string"),
        ]
    }
    pairs = _below("$payload", redaction.candidates, _DEPTH)
    text = {
        "$reduce": {
            "input": pairs,
            "initialValue": "",
            "in": {
                "$concat": [
                    "$$value",
                    *({"$substrCP": ["$$this.k", 0, READ]}, BETWEEN),
                    *({"$substrCP": ["$$this.v", 0, SECRET]}, BEHIND),
                ]
            },
        }
    }
    read_whole = _fits("$payload", WHOLE)
    searched = _if(_fits("$payload", SEARCHED), {"$substrCP": [text, 0, SECRETS + 1]}, None)
    return _if({"$or": [read_whole, {"$not": [tells]}]}, "", searched)


def _below(value: Any, names: tuple[str, str], depth: int) -> Document:
    """Return pairs of name and text of what may be hidden below a value, down to a depth.

    Where a level is deeper or wider than what is looked at, a pair that is too long to fit in.
    """
    over: list[Document] = [{"k": "", "v": _OVER}]
    if depth == 0:
        return _if(_is(value, "object", "array"), over, [])
    var = f"level{depth}"
    each = f"$${var}"
    regex, options = names
    matches = {"$regexMatch": {"input": f"{each}.k", "regex": regex, "options": options}}
    found = _if(matches, _texts(f"{each}.v", f"{each}.k", 2), _below(f"{each}.v", names, depth - 1))
    collected = {
        "$reduce": {
            "input": {
                "$map": {
                    "input": {"$slice": [f"$$entries{depth}", _ITEMS]},
                    "as": var,
                    "in": found,
                }
            },
            "initialValue": [],
            "in": {"$concatArrays": ["$$value", "$$this"]},
        }
    }
    wide = _if({"$gt": [{"$size": f"$$entries{depth}"}, _ITEMS]}, over, [])
    return {
        "$let": {
            "vars": {f"entries{depth}": _entries(value, depth)},
            "in": {"$concatArrays": [collected, wide]},
        }
    }


def _entries(value: Any, depth: int) -> Document:
    """Return names and values of a level: of fields, of items that may hold some, and of pairs.

    A pair is a list of a name and a value, or a mapping that has the two as fields.
    """
    item = f"item{depth}"
    holding = {"$filter": {"input": value, "as": item, "cond": _is(f"$${item}", "object", "array")}}
    items = {"$map": {"input": holding, "as": item, "in": {"k": "", "v": f"$${item}"}}}
    first, second = ({"$arrayElemAt": [value, n]} for n in (0, 1))
    is_pair = {"$and": [{"$eq": [{"$size": value}, 2]}, _is(first, "string")]}
    pair = _if(is_pair, [{"k": first, "v": second}], [])
    field = f"field{depth}"
    fields = {"$objectToArray": value}
    naming = {
        "$filter": {
            "input": fields,
            "as": field,
            "cond": {
                "$and": [
                    {"$in": [f"$${field}.k", _NAMING]},
                    _is(f"$${field}.v", "string"),
                    {"$ne": [{"$type": f"{value}.value"}, "missing"]},
                ]
            },
        }
    }
    named = {
        "$map": {
            "input": naming,
            "as": field,
            "in": {"k": f"$${field}.v", "v": f"{value}.value"},
        }
    }
    return {
        "$switch": {
            "branches": [
                {"case": _is(value, "object"), "then": {"$concatArrays": [fields, named]}},
                {"case": {"$isArray": [value]}, "then": {"$concatArrays": [items, pair]}},
            ],
            "default": [],
        }
    }


def _texts(value: Any, name: Any, depth: int) -> Document:
    """Return pairs of a name and each text below a value that stands under it."""
    as_text = {"$convert": {"input": value, "to": "string", "onError": "", "onNull": ""}}
    scalar = _if(
        _is(value, "bool", "null", "missing", "undefined"), [], [{"k": name, "v": as_text}]
    )
    if depth == 0:
        return _if(_is(value, "object", "array"), [{"k": name, "v": _OVER}], scalar)
    var = f"text{depth}"
    values = _if(
        {"$isArray": [value]},
        value,
        {"$map": {"input": {"$objectToArray": value}, "as": var, "in": f"$${var}.v"}},
    )
    below = {
        "$reduce": {
            "input": {
                "$map": {"input": values, "as": var, "in": _texts(f"$${var}", name, depth - 1)}
            },
            "initialValue": [],
            "in": {"$concatArrays": ["$$value", "$$this"]},
        }
    }
    return _if(_is(value, "object", "array"), below, scalar)
