"""What a request asks for: filters and forms, from text to what the facade takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.requests import Request
from starlette.responses import RedirectResponse

from job_processor.errors import GroupNotFoundError, InvalidArgumentError, Unshown
from job_processor.handlers.groups import Group
from job_processor.redaction import Redaction
from job_processor.web.places import root_of

FILTERS = (
    "name",
    "status",
    "type",
    "tag",
    "lane",
    "group",
    "flow",
    "label",
    "worker",
    "error",
    "payload",
    "id_end",
    "from",
    "to",
    "ended_from",
    "ended_to",
)
"""Those of the jobs page, as they stand in its address."""

_NAMES = ("name", "tag", "lane")
_MOMENTS = {"from", "to", "ended_from", "ended_to"}
_TEXTS = (
    *("name", "status", "type", "tag", "lane", "group", "flow", "label", "worker", "error"),
    "id_end",
)


def selection_of(parameters: Mapping[str, str], redaction: Redaction) -> dict[str, Any]:
    """Return what `find_jobs` takes to select; empty fields are left out.

    Raises InvalidArgumentError, also for a field of the payload that is hidden: whoever may ask
    whether it has a value can find the value out.
    """
    given = {key: parameters.get(key, "") for key in FILTERS}
    for key in FILTERS:  # a name may have blanks at its ends; alone they are none
        if key not in _NAMES or not given[key].strip():
            given[key] = given[key].strip()
    selection: dict[str, Any] = {key: given[key] for key in _TEXTS if given[key]}
    if given["payload"]:
        path, equals, value = given["payload"].partition("=")
        if not equals:
            allowed = "allowed is a field with its value, such as user.id=7"
            raise InvalidArgumentError("payload", Unshown(given["payload"]), allowed)
        if redaction.hides(path.strip()):
            allowed = "allowed is a field whose value is shown; this one is hidden"
            raise InvalidArgumentError("payload", path.strip(), allowed)
        selection["payload"] = {path.strip(): value.strip()}
    names = {"from": "created_from", "to": "created_to"}
    for key in FILTERS:
        if key in _MOMENTS and given[key]:
            selection[names.get(key, key)] = moment_of(parameters, key)
    return selection


def listed_of(parameters: Mapping[str, str], redaction: Redaction) -> dict[str, Any]:
    """Return what `find_jobs` takes for the list of jobs, and for what is done to all of it.

    Without a state it holds what has happened or is about to: no occurrence of a cron that waits.
    Raises InvalidArgumentError.
    """
    selection = selection_of(parameters, redaction)
    return selection if "status" in selection else {**selection, "planned": False}


async def group_of(request: Request) -> Group:
    """Return the group that an address names; raises GroupNotFoundError."""
    group_id = request.path_params["id"]
    found: Group | None = await request.app.state.processor.get_group(group_id)
    if found is None:
        raise GroupNotFoundError(group_id)
    return found


def filters_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the filters that are set, as they stand in an address; times in UTC."""
    filters = {key: parameters[key] for key in FILTERS if parameters.get(key, "").strip()}
    for key in _MOMENTS & filters.keys():
        with suppress(InvalidArgumentError):  # whoever selects by it says what is wrong
            moment = moment_of(parameters, key)
            if moment is not None:
                filters[key] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return filters


def origin_of(fields: Mapping[str, str]) -> str:
    """Return the page of ours that a form was sent from.

    A browser drops some characters out of an address and takes a backslash for a slash, so that
    what looks like a path of ours may lead elsewhere.
    """
    back = fields.get("back", "/")
    ours = back.startswith("/") and not back.startswith("//") and "\\" not in back
    return back if ours and back.isascii() and back.isprintable() and " " not in back else "/"


def back_to(request: Request, fields: Mapping[str, str]) -> RedirectResponse:
    """Lead back to the page of ours that a form was sent from."""
    return RedirectResponse(f"{root_of(request)}{origin_of(fields)}", status_code=303)


def time_of(text: str, argument: str) -> datetime:
    """Return a time of ISO 8601; without a zone it is in UTC, as the page says."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        allowed = "allowed is a time in ISO 8601, such as 2030-01-31T08:00Z"
        raise InvalidArgumentError(argument, text, allowed) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def moment_of(parameters: Mapping[str, str], argument: str) -> datetime | None:
    """Return the time that a date picker has sent, in the zone that it names; None for none.

    Without script no zone comes along: then it is UTC, as for times of ISO 8601 without one.
    Raises InvalidArgumentError.
    """
    text, zone = parameters.get(argument, "").strip(), parameters.get("zone", "").strip()
    if not text:
        return None
    moment = time_of(text, argument)
    if not zone or datetime.fromisoformat(text).tzinfo is not None:
        return moment
    try:
        return moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        allowed = "allowed is a time zone such as Europe/Paris"
        raise InvalidArgumentError("zone", zone[:50], allowed) from error


def amount_of(text: str) -> int:
    """Return the amount of a limit; which ones are allowed is for the facade to judge."""
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgumentError("amount", text, "allowed is a whole number") from error


def seconds_of(text: str) -> float:
    """Return a number of seconds above 0; the rest is for the facade to judge."""
    allowed = "allowed is a number of seconds above 0"
    try:
        seconds = float(text)
    except ValueError as error:
        raise InvalidArgumentError("seconds", text, allowed) from error
    if not seconds > 0:
        raise InvalidArgumentError("seconds", text, allowed)
    return seconds


def number_of(parameters: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number; which ones are allowed is for the facade to judge."""
    text = parameters.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise InvalidArgumentError(name, text, "allowed is a whole number") from error
