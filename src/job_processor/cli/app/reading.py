"""Arguments of the command line, from text to values; each error names its option."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from typing import Any

from job_processor.errors import InvalidArgumentError, Unshown

_PAYLOAD = 'allowed is a JSON object such as {"id": 1}'


def read_number(option: str, text: str) -> int:
    """Return a whole number; which ones are allowed is for the facade to judge."""
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgumentError(option, text, "allowed is a whole number") from error


def read_limit(text: str) -> int:
    """Return how many rows a page has at most."""
    from job_processor.settings import PAGE_LIMIT, check_int  # noqa: PLC0415  # --help does without

    number = read_number("--limit", text)
    check_int("--limit", number, minimum=1)
    if number > PAGE_LIMIT:
        raise InvalidArgumentError("--limit", number, f"allowed are at most {PAGE_LIMIT}")
    return number


def read_id(argument: str, text: str) -> None:
    """Refuse what can be the id of no job, before a database is opened for it."""
    from job_processor.models import object_id  # noqa: PLC0415  # the help does without

    object_id(text, argument)


def read_seconds(option: str, text: str) -> float:
    """Return a number of seconds, of at least a tenth."""
    allowed = "allowed is a number of seconds from 0.1 to 3600"
    try:
        seconds = float(text)
    except ValueError as error:
        raise InvalidArgumentError(option, text, allowed) from error
    if not 0.1 <= seconds <= 3600:
        raise InvalidArgumentError(option, text, allowed)
    return seconds


def read_choice(option: str, text: str, allowed: Collection[str]) -> str:
    """Return one of `allowed`, whatever its case."""
    if text.lower() not in allowed:
        raise InvalidArgumentError(option, text, f"allowed are {', '.join(allowed)}")
    return text.lower()


def read_tags(text: str) -> list[str]:
    """Return the tags of `--tags`, at least one."""
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    if not tags:
        raise InvalidArgumentError(
            "--tags", text, "allowed are tags with commas in between, such as mail,video"
        )
    return tags


def read_text(option: str, text: str) -> str:
    """Return text that a database can look for: bytes that are no UTF-8 come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(option, text, "allowed is text in UTF-8") from error
    return text


def read_labels(given: Sequence[str] | None) -> list[str] | None:
    """Return the labels of `--label`, None where there are none."""
    if not given:
        return None
    from job_processor.handlers.labels import as_labels  # noqa: PLC0415  # the help does without

    return list(as_labels([read_text("--label", each) for each in given], "--label"))


def read_payload(text: str) -> dict[str, Any] | None:
    """Return the payload that the JSON of `--payload` says; `-` reads it from stdin.

    Whether its values can be kept is for the facade to judge.
    """
    payload = read_json("--payload", text, _PAYLOAD)
    if payload is not None and not isinstance(payload, dict):
        raise InvalidArgumentError("--payload", Unshown(text), _PAYLOAD)
    return payload


def read_json(argument: str, text: str, allowed: str) -> Any:
    """Return the value that a JSON text says; `-` reads it from stdin."""
    if text == "-":
        text = _stdin()
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise InvalidArgumentError(argument, Unshown(text), f"{allowed}: {reason}") from error


def read_yes(question: str) -> bool | None:
    """Ask on the terminal whether something is to be done; None where there is nobody to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError("--payload", "-", f"{_PAYLOAD}; stdin: {error}") from error
