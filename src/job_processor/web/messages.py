"""What an action tells on the page that follows it: what was done to what, and a way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.phrases import phrase
from job_processor.web.seal import Seal

_COOKIE = "job_processor_told"
_SECONDS = 60
_LONGEST = 500  # characters of an error
_LONGEST_NAME = 80  # characters of what a phrase names
_LARGEST = 3500  # bytes of a cookie, of which browsers keep 4,096 with its name
REFRESH = "job-processor-refresh"
"""A header of what an open page asks for by itself: it takes no message away from its reader."""


@dataclass(frozen=True, slots=True)
class Undo:
    """A button that takes something back."""

    label: str
    """A text of the pages, such as `Run again`."""
    fields: tuple[tuple[str, str], ...]
    """What its form sends: `do`, and to what."""

    @classmethod
    def by(cls, label: str, do: str, **fields: str) -> Undo:
        """Return one that does something to one thing."""
        return cls(label, (("do", do), *fields.items()))


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, to be told in the language of who did it."""

    key: str
    """Of `phrases`."""
    of: Mapping[str, str | int]
    """What the phrase names; never a value of a payload."""
    undo: Undo | None = None
    more: tuple[tuple[str, int], ...] = ()
    """Further phrases, with how many each is about."""
    link: str = ""
    """A page of ours that has more, such as `/jobs/ID`."""
    linked: str = "Show it"
    """The text of that link."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a page shows of it."""

    text: str
    undo: Undo | None = None
    link: str = ""
    linked: str = ""


def tell(request: Request, *, done: Done | None = None, error: str = "") -> None:
    """Keep a message for the next page, in a signed cookie.

    In the address anybody could put words into our mouth, and they would stay in histories and logs
    of proxies.
    """
    seal: Seal | None = request.app.state.seal
    if seal is None:
        return
    kept = _sealed(seal, done, error)
    if done is not None and len(kept) > _LARGEST:  # the words matter more than the way back
        kept = _sealed(seal, replace(done, undo=None), error)
    set_cookie(request, _COOKIE, kept, seconds=_SECONDS)


def told(request: Request, language: str) -> tuple[Told | None, str]:
    """Return what was done and what went wrong, once; None and "" where there is nothing to say."""
    seal: Seal | None = request.app.state.seal
    kept = cookie_of(request, _COOKIE)
    if seal is None or not kept or REFRESH in request.headers:
        return None, ""
    set_cookie(request, _COOKIE, "", seconds=0)
    done, error = seal.open("told", kept) or (None, "")
    return (None if done is None else _told(done, language)), str(error)


def _sealed(seal: Seal, done: Done | None, error: str) -> str:
    told: Any = None
    if done is not None:
        of = {key: _cut(each) for key, each in done.of.items()}
        undo = None if done.undo is None else [done.undo.label, done.undo.fields]
        told = [done.key, of, done.more, undo, done.link, done.linked]
    return seal.close("told", [told, error[:_LONGEST]], seconds=_SECONDS)


def _cut(told: str | int) -> str | int:
    if isinstance(told, int) or len(told) <= _LONGEST_NAME:
        return told
    return f"{told[: _LONGEST_NAME - 1]}…"


def _told(done: Any, language: str) -> Told:
    key, of, more, undo, link, linked = done
    parts = [phrase(key, language, of), *(phrase(key, language, {"n": n}) for key, n in more)]
    back = None if undo is None else Undo(undo[0], tuple((name, value) for name, value in undo[1]))
    return Told(" ".join(parts), back, link, linked)
