"""Which jobs are meant: from what a caller asks of `find_jobs` to a checked query."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.groups import Group
from job_processor.handlers.labels import Labels, wanted_labels
from job_processor.handlers.registry import Registry
from job_processor.models import JobStatus, JobType, object_id
from job_processor.settings import check_name, check_text
from job_processor.store.requests import ID_DIGITS, JobQuery
from job_processor.texts import storable

_PATH_DEPTH = 20
_PATH_LENGTH = 500
_VALUE_LENGTH = 1000
"""Of a field of payloads that is looked for, in levels and characters."""

_INT64 = 2**63

SHORTEST_END = 4
"""Digits of the end of an id that is looked for, at the least."""

_ID_END = re.compile(rf"[0-9a-fA-F]{{{SHORTEST_END},{ID_DIGITS}}}")

_SCALARS = (
    "allowed is a text of at most 1,000 characters, a number of 64 bits, true, false or null; a "
    "put a text that looks like one of the others in double quotes"
)

_OTHER_WORDS = {
    **dict.fromkeys(("failed", "failure", "error", "dead"), "errored"),
    **dict.fromkeys(("done", "success", "succeeded", "completed", "complete"), "finished"),
    **dict.fromkeys(("queued", "waiting", "scheduled", "delayed", "available"), "pending"),
    **dict.fromkeys(("started", "active", "executing", "processing"), "running"),
    **dict.fromkeys(("cancelled", "canceled", "revoked", "aborted"), "killed"),
}
"""What others call our states."""


def query_of(
    registry: Registry,
    *,
    name: str | None = None,
    status: JobStatus | str | None = None,
    type: JobType | None = None,
    tag: str | None = None,
    worker: ObjectId | str | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    error: str | None = None,
    payload: Mapping[str, Any] | None = None,
    lane: str | None = None,
    group: Group | ObjectId | str | None = None,
    flow: ObjectId | str | None = None,
    label: str | None = None,
    labels: Labels = None,
    up_to: ObjectId | str | None = None,
    down_to: ObjectId | str | None = None,
    ended_from: datetime | None = None,
    ended_to: datetime | None = None,
    planned: bool = True,
    id_end: str | None = None,
) -> JobQuery:
    """Return a query without page and limit; raises InvalidArgumentError."""
    if name is not None:
        check_name("name", name)
    if not isinstance(planned, bool):
        raise InvalidArgumentError("planned", planned, "allowed are True and False")
    return JobQuery(
        name=name if tag is None else None,
        status=_status(status),
        type=_type(type),
        names=None if tag is None else _names_of(registry, tag, name),
        worker_id=None if worker is None else object_id(worker, "worker"),
        above=_highest(_bound("created_from", created_from), _before(down_to)),
        after=_lowest(_bound("created_to", created_to), _behind(up_to)),
        error=_text("error", error),
        payload=_field(payload),
        lane=_text("lane", lane),
        group=_group(group),
        flow=None if flow is None else object_id(flow, "flow"),
        labels=wanted_labels(label, labels),
        ended_from=_aware("ended_from", ended_from),
        ended_to=_aware("ended_to", ended_to),
        planned=planned,
        id_end=_id_end(id_end),
    )


def _id_end(digits: str | None) -> str | None:
    if digits is not None and (not isinstance(digits, str) or not _ID_END.fullmatch(digits)):
        allowed = f"allowed are the last {SHORTEST_END} to {ID_DIGITS} hex digits of an id"
        raise InvalidArgumentError("id_end", digits, allowed)
    return None if digits is None else digits.lower()


def _group(group: Group | ObjectId | str | None) -> ObjectId | None:
    if group is None or isinstance(group, Group):
        return None if group is None else group.id
    return object_id(group, "group")


def _status(status: JobStatus | str | None) -> JobStatus | None:
    try:
        return JobStatus(status) if status is not None else None
    except ValueError as error:
        allowed = ", ".join(repr(each.value) for each in JobStatus)
        meant = _OTHER_WORDS.get(str(status).lower())
        hint = f"; did you mean {meant!r}?" if meant is not None else ""
        raise InvalidArgumentError("status", status, f"allowed are {allowed}{hint}") from error


def _type(type: JobType | None) -> JobType | None:
    if type not in (None, "simple", "cron_task"):
        raise InvalidArgumentError("type", type, "allowed are 'simple' and 'cron_task'")
    return type


def _names_of(registry: Registry, tag: str, name: str | None) -> tuple[str, ...]:
    """Return the names that have a tag here; the database does not keep it."""
    return tuple(
        each for each, its in registry.all.items() if its.tag == tag and name in (None, each)
    )


def _aware(argument: str, moment: datetime | None) -> datetime | None:
    if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
        raise InvalidArgumentError(argument, moment, "allowed is an aware datetime")
    return moment


def _bound(argument: str, moment: datetime | None) -> ObjectId | None:
    """Return the id that stands at a moment: ids begin with the time at which they were made."""
    if moment is None:
        return None
    _aware(argument, moment)
    seconds = min(max(int(moment.timestamp()), 0), 0xFFFFFFFF)
    return ObjectId(seconds.to_bytes(4, "big") + bytes(8))


def _behind(newest: ObjectId | str | None) -> ObjectId | None:
    """Return the id that comes next to the newest one that is meant."""
    if newest is None:
        return None
    number = int.from_bytes(object_id(newest, "up_to").binary, "big")
    return ObjectId(min(number + 1, 2**96 - 1).to_bytes(12, "big"))


def _before(oldest: ObjectId | str | None) -> ObjectId | None:
    """Return the id that comes right before the oldest one that is meant."""
    if oldest is None:
        return None
    number = int.from_bytes(object_id(oldest, "down_to").binary, "big")
    return ObjectId(max(number - 1, 0).to_bytes(12, "big"))


def _highest(*bounds: ObjectId | None) -> ObjectId | None:
    return max((bound for bound in bounds if bound is not None), default=None)


def _lowest(*bounds: ObjectId | None) -> ObjectId | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _text(argument: str, text: object) -> str | None:
    if text is not None and (not isinstance(text, str) or not text or len(text) > 200):
        raise InvalidArgumentError(argument, text, "allowed is a text of 1 to 200 characters")
    if text is not None:
        check_text(argument, text)
    return text


def _field(payload: Mapping[str, Any] | None) -> tuple[tuple[str, ...], str] | None:
    if payload is None:
        return None
    if not isinstance(payload, Mapping) or len(payload) != 1:
        allowed = "allowed is one field with its value, such as {'user.id': 7}"
        raise InvalidArgumentError("payload", Unshown(payload), allowed)
    ((path, value),) = payload.items()
    names = tuple(str(path)[: _PATH_LENGTH + 1].split("."))
    odd = len(str(path)) > _PATH_LENGTH or len(names) > _PATH_DEPTH or not all(names)
    if odd or any(name.startswith("$") or "\0" in name for name in names):
        allowed = (
            f"allowed are at most {_PATH_DEPTH} names of fields, with dots in between, of "
            f"{_PATH_LENGTH} characters together"
        )
        raise InvalidArgumentError("payload", Unshown(payload), allowed)
    if any(storable(each) != each for each in (*names, str(value))):
        allowed = "allowed is Unicode text, without lone surrogates"
        raise InvalidArgumentError("payload", Unshown(payload), allowed)
    if isinstance(value, Mapping | list | tuple):
        raise InvalidArgumentError("payload", Unshown(value), _SCALARS)
    if isinstance(value, bool):
        value = "true" if value else "false"
    return names, _scalar(str(value))


def _scalar(text: str) -> str:
    """Return the value that a text stands for, as a text; raises InvalidArgumentError.

    A text in double quotes is one, whatever is in it; a mapping or a list is no value to look for.
    """
    if len(text) > _VALUE_LENGTH:
        raise InvalidArgumentError("payload", Unshown(text), _SCALARS)
    try:
        value = json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        value = []
    large = isinstance(value, int) and not -_INT64 <= value < _INT64
    if large or isinstance(value, dict | list):
        raise InvalidArgumentError("payload", Unshown(text), _SCALARS)
    if isinstance(value, str) and storable(value) != value:
        raise InvalidArgumentError("payload", Unshown(text), _SCALARS)
    return value if isinstance(value, str) else text
