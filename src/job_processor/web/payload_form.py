"""The form of a payload: what each field shows, what was filled in, and what is wrong with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, time
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.inputs import Input
from job_processor.redaction import Redaction
from job_processor.web.reading import moment_of

PREFIX = "field_"
"""Stands before the name of a field of the payload in the form."""

_JSON = "allowed is JSON: {}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A field as the form shows it."""

    input: Input
    text: str
    """What stands in it; of a checkbox `on` or nothing."""
    hidden: bool
    """True where it is typed without being seen."""
    error: str = ""

    @property
    def has_lines(self) -> bool:
        """True for a text of several lines."""
        return self.input.kind == "text" and "\n" in self.text

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """The values to choose from: each as it is sent, as it is called, and whether it is now."""
        sent = [(json.dumps(each.value), each.told) for each in self.input.choices]
        return [(value, told, value == self.text) for value, told in sent]


@dataclass(slots=True)
class Filled:
    """What somebody has filled in."""

    payload: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """What is wrong, by field."""


def shown(
    inputs: Sequence[Input],
    redaction: Redaction,
    given: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> list[Shown]:
    """Return the fields: with their defaults or, where it was sent already, with what was given.

    Of what is hidden elsewhere neither is shown.
    """
    fields = []
    for each in inputs:
        hidden = redaction.hides(each.name)
        text = _default(each) if given is None else given.get(PREFIX + each.name, "")
        if each.kind == "datetime":
            text = in_utc(given or {}, PREFIX + each.name)
        wrong = (errors or {}).get(each.name, "")
        fields.append(
            Shown(each, "" if hidden and each.kind != "checkbox" else text, hidden, wrong)
        )
    return fields


def filled(inputs: Sequence[Input], given: Mapping[str, str], redaction: Redaction) -> Filled:
    """Return the payload that a form holds.

    What stands at its default is left out, so that the default of the day on which it runs holds.
    """
    result = Filled()
    for each in inputs:
        unseen = redaction.hides(each.name) and each.kind != "checkbox"
        seen = replace(each, default=None) if unseen else each
        try:
            _take(result.payload, seen, given)
        except InvalidArgumentError as error:
            result.errors[each.name] = error.allowed
    return result


def in_utc(given: Mapping[str, str], name: str) -> str:
    """Return a time that was sent as the form shows it, in UTC; as it is where it is none."""
    try:
        moment = moment_of(given, name)
    except InvalidArgumentError:
        return given.get(name, "")
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def places(error: InvalidArgumentError, inputs: Sequence[Input]) -> dict[str, str]:
    """Return what an error says of each field that it names; by "" what it says of none."""
    names = {each.name for each in inputs}
    field = error.argument.removeprefix("payload.")
    named = re.match(r"[^.\[]+", field)
    if field != error.argument and named and named[0] in names:
        return {named[0]: error.allowed}
    found: dict[str, str] = {}
    for part in error.allowed.split("; "):
        name = _place(part, names)
        told = part.removeprefix(f"{name}: ").removesuffix(f" - at `$.{name}`")
        known = found.get(name, "")
        found[name] = f"{known}; {told}" if known else told
    return found


def json_of(text: str) -> Any:
    """Return what a text of JSON holds, None where there is none; raises InvalidArgumentError."""
    try:
        return json.loads(text, parse_constant=_no_number) if text.strip() else None
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidArgumentError("payload", "…", _JSON.format(told)) from None


def _take(payload: dict[str, Any], each: Input, given: Mapping[str, str]) -> None:
    """Put what a field holds into the payload, or leave it out."""
    text = given.get(PREFIX + each.name, "").replace("\r\n", "\n")  # as a browser sends lines
    has_default = not each.required and each.default is not None
    if has_default and each.kind != "checkbox" and text == _default(each):
        return
    if each.kind == "checkbox":
        value: Any = bool(text)
    elif text if each.kind == "text" else text.strip():
        value = _value(each, text, given)
    elif each.required and not each.nullable:
        raise InvalidArgumentError(each.name, text, "it is missing")
    elif each.required or (has_default and each.nullable):
        value = None
    elif has_default and each.kind == "text":  # its default was deleted
        value = ""
    else:
        return
    same = value == each.default and type(value) is type(each.default)
    if each.required or not same:
        payload[each.name] = value


def _value(each: Input, text: str, given: Mapping[str, str]) -> Any:
    if each.kind in ("text", "choice"):
        return text if each.kind == "text" else _chosen(each, text)
    if each.kind == "json":
        return json_of(text)
    if each.kind == "datetime":
        return moment_of(given, PREFIX + each.name)
    return _READ[each.kind](text.strip())


def _chosen(each: Input, text: str) -> Any:
    for choice in each.choices:
        if json.dumps(choice.value) == text:
            return choice.value
    told = ", ".join(choice.told for choice in each.choices[:20])
    raise InvalidArgumentError(each.name, text, f"allowed are {told}")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgumentError("number", text, "allowed is a whole number") from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArgumentError("number", text, "allowed is a number")
    return number


def _decimal(text: str) -> str:
    """Return a number of any digits, as text."""
    _number(text)
    return text


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidArgumentError("date", text, "allowed is a date: 2030-01-31") from None


def _clock(text: str) -> str:
    try:
        return time.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidArgumentError("time", text, "allowed is a time: 08:30") from None


_READ: Mapping[str, Any] = {
    "integer": _whole,
    "number": _number,
    "decimal": _decimal,
    "date": _day,
    "time": _clock,
}
"""From what a field holds to the value, by kind."""


def _default(each: Input) -> str:
    """Return how the default stands in a field."""
    if each.default is None:
        return ""
    if each.kind == "checkbox":
        return "on" if each.default else ""
    if each.kind in ("choice", "json"):
        return json.dumps(each.default, ensure_ascii=each.kind == "choice")
    return str(each.default)


def _place(told: str, names: set[str]) -> str:
    """Return the field of which a library's message tells; "" for none of them."""
    for pattern in (r"^([^:.\s]+)[^:\s]*: ", r"`\$\.([^.`\[]+)", r"required field `([^`]+)`"):
        found = re.search(pattern, told)
        if found and found[1] in names:
            return found[1]
    return ""


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
