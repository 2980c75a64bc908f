"""An exception as text: what it says, what it is made of and came from, then the tracebacks.

What matters most comes first, since a text that is too long loses its end: the error itself, then
one line for each member of a group and each cause.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass

from job_processor.errors import shorten
from job_processor.handlers.retries import RetryLater, members_of
from job_processor.settings import ERROR_LIMIT
from job_processor.texts import harmless, storable, told
from job_processor.worker.frames import of_user, place_in

_HEADS_LIMIT = ERROR_LIMIT * 6 // 10
_HEAD_LIMIT = 1000  # characters of what one part says, but the first
_FIRST_HEAD_LIMIT = ERROR_LIMIT // 2
_FEWEST = 200  # characters of a traceback that are worth having
_KEPT = 24  # parts that are told, the first ones and the last: the last is where it began
_KEPT_LAST = 4
_NEXT = "\n\nTraceback of "
_FRAMES = '\n  File "'
_OF_PYDANTIC = "For further information visit "
_SUMMARY_LIMIT = 300  # characters
_LOOKED_AT = 10_000  # parts


@dataclass(frozen=True, slots=True)
class _Part:
    error: BaseException
    label: str
    """What it is to the error before it."""


def describe_error(error: BaseException) -> str:
    """Return an error as text of at most `ERROR_LIMIT` characters; never raises.

    Of a `RetryLater` it has the message alone, which is the handler's word and no mishap.
    """
    traced = not isinstance(error, RetryLater)
    parts, left_out = _shortened(_parts(error))
    heads = [_head(part, _HEAD_LIMIT if i else _FIRST_HEAD_LIMIT) for i, part in enumerate(parts)]
    lines = [part.label + head for part, head in zip(parts, heads, strict=True)]
    if left_out:
        lines.insert(_KEPT - _KEPT_LAST, f"… {left_out} more …")
    text = shorten("\n".join(lines), _HEADS_LIMIT)
    titles = ["\n", *(f"{_NEXT}{_line(head)}:\n" for head in heads[1:])]
    traces = [of_user(part.error) for part in parts]
    if not traced:
        traces[0] = ""
    for i, (title, trace) in enumerate(zip(titles, traces, strict=True)):
        rest = ERROR_LIMIT - len(text)
        share = rest // 2 if i == 0 and len(parts) > 1 else rest // (len(parts) - i)
        if trace and share - len(title) >= _FEWEST:
            text += title + shorten(trace, share - len(title))
    return storable(text)


def summary(text: str) -> str:
    """Return what a text of an error says, without its tracebacks, as one line that can be read."""
    lines = (line.strip().removeprefix("- ") for line in text.partition(_FRAMES)[0].splitlines())
    told = "; ".join(line for line in lines if line and not line.startswith(_OF_PYDANTIC))
    return shorten(harmless(told, ""), _SUMMARY_LIMIT)


def traceback_of(text: str) -> str | None:
    """Return a text of an error where it has a traceback; None where nothing was raised."""
    return text if _FRAMES in text else None


def place_of(text: str) -> str | None:
    """Return where an error was raised, from its text; of a group, where its first member was."""
    blocks = text.split(_NEXT)
    single = (each for each in blocks if not re.match(r"[\w.]*Group\b", each))
    return place_in(next(single, text))


def _parts(error: BaseException) -> list[_Part]:
    """Return an error with its members, its cause, theirs, and so on: each once."""
    parts: list[_Part] = []
    seen: set[int] = set()
    rest = [_Part(error, "")]
    while rest and len(parts) < _LOOKED_AT:
        part = rest.pop()
        if id(part.error) in seen:
            continue
        seen.add(id(part.error))
        parts.append(part)
        rest += reversed([*_members(part.error), *_cause(part.error)])
    return parts


def _shortened(parts: list[_Part]) -> tuple[list[_Part], int]:
    left_out = len(parts) - _KEPT
    if left_out <= 0:
        return parts, 0
    return [*parts[: _KEPT - _KEPT_LAST], *parts[-_KEPT_LAST:]], left_out


def _members(error: BaseException) -> list[_Part]:
    if not isinstance(error, BaseExceptionGroup):
        return []
    return [_Part(each, "- ") for each in members_of(error)]


def _cause(error: BaseException) -> list[_Part]:
    """Return what an error was raised from, or was being handled when it was raised."""
    if error.__cause__ is not None:
        return [_Part(error.__cause__, "Caused by ")]
    if error.__context__ is not None and not error.__suppress_context__:
        return [_Part(error.__context__, "While handling ")]
    return []


def _head(part: _Part, limit: int) -> str:
    """Return type, message and notes; of a `RetryLater` that stands alone its message."""
    if isinstance(part.error, RetryLater) and not part.label:
        return told(part.error, limit)
    try:
        text = "".join(traceback.format_exception_only(part.error)).strip()
    except BaseException:  # noqa: BLE001  # its own code, which fails
        text = f"{type(part.error).__name__}: {told(part.error, limit)}"
    return shorten(text, limit)


def _line(head: str) -> str:
    return shorten(head.partition("\n")[0], 200)
