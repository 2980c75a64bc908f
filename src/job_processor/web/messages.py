"""What an action tells on the page that follows it: what was done to what, and a way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from job_processor.errors import JobProcessorError
from job_processor.web import texts
from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.offers import since
from job_processor.web.phrases import phrase
from job_processor.web.seal import Seal

_COOKIE = "job_processor_told"
_SECONDS = 60
_SECONDS_SHOWN = 86_400  # for which an open page is told whether what it offers is still possible
_LONGEST = 500  # characters of an error
_LONGEST_NAME = 80  # characters of what a phrase names
_LARGEST = 3500  # bytes of a cookie, of which browsers keep 4,096 with its name
REFRESH = "job-processor-refresh"
"""A header of what an open page asks for by itself: it takes no message away from its reader.

Where a message stands there that offers something, it is that message, sealed (`Told.sealed`), and
comes back as things are by now.
"""


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

    @property
    def do(self) -> str:
        """The action that it sends."""
        return self.fields[0][1]

    @property
    def values(self) -> tuple[str, ...]:
        """What that is done to."""
        return tuple(value for _, value in self.fields[1:])


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
    sealed: str = ""
    """The message, with which its page asks for it again; "" where it offers nothing."""


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


async def told(request: Request, language: str) -> tuple[Told | None, str]:
    """Return what was done and what went wrong, once; None and "" where there is nothing to say.

    What can no longer be done is not offered.
    """
    seal: Seal | None = request.app.state.seal
    shown = request.headers.get(REFRESH)
    kept = cookie_of(request, _COOKIE) if shown is None else shown
    if seal is None or not kept:
        return None, ""
    if shown is None:
        set_cookie(request, _COOKIE, "", seconds=0)
    message, error = seal.open("told", kept) or (None, "")
    if message is None:
        return None, str(error)
    done = await _as_of_now(request, _done(message), language)
    sealed = ""
    if done.undo is not None:
        sealed = shown or _sealed(seal, done, "", seconds=_SECONDS_SHOWN)
    return _told(done, language, sealed), str(error)


async def _as_of_now(request: Request, done: Done, language: str) -> Done:
    """Return a message without an offer that would be refused, with what has happened since."""
    if done.undo is None:
        return done
    try:
        found = await since(request.app.state.processor, done.undo.do, done.undo.values)
    except JobProcessorError:  # a store that is away: whoever presses it is told
        return done
    if found is None:
        return done
    done = replace(done, undo=None)
    if not found.key:
        return done
    of = {**done.of}
    if found.status is not None:
        of["status"] = texts.translate(found.status.value, language).lower()
    return replace(done, key=found.key, of=of, link=found.link)


def _sealed(seal: Seal, done: Done | None, error: str, *, seconds: float = _SECONDS) -> str:
    told: Any = None
    if done is not None:
        of = {key: _cut(each) for key, each in done.of.items()}
        undo = None if done.undo is None else [done.undo.label, done.undo.fields]
        told = [done.key, of, done.more, undo, done.link, done.linked]
    return seal.close("told", [told, error[:_LONGEST]], seconds=seconds)


def _cut(told: str | int) -> str | int:
    if isinstance(told, int) or len(told) <= _LONGEST_NAME:
        return told
    return f"{told[: _LONGEST_NAME - 1]}…"


def _done(message: Any) -> Done:
    key, of, more, undo, link, linked = message
    back = None if undo is None else Undo(undo[0], tuple((name, value) for name, value in undo[1]))
    return Done(key, of, back, tuple((each, n) for each, n in more), link, linked)


def _told(done: Done, language: str, sealed: str) -> Told:
    further = (phrase(key, language, {"n": n}) for key, n in done.more)
    parts = [phrase(done.key, language, done.of), *further]
    return Told(" ".join(parts), done.undo, done.link, done.linked, sealed)
