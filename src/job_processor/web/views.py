"""From a template and what it shows to a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from job_processor.models import WAITS_FOR
from job_processor.web import texts
from job_processor.web.cron_words import cron_in_words
from job_processor.web.forms import csrf_of
from job_processor.web.local_times import local_time, place_of
from job_processor.web.looks import Look, theme_of
from job_processor.web.messages import told
from job_processor.web.numbers import decimal, grouped, per_time, percent, span, took
from job_processor.web.phrases import phrase
from job_processor.web.places import path_of, root_of

STATUSES = ("pending", "running", "paused", "finished", "errored", "killed", "skipped")
PAGES = (
    ("/", "Overview"),
    ("/jobs", "Jobs"),
    ("/names", "Names"),
    ("/flows", "Flows"),
    ("/groups", "Groups"),
    ("/crons", "Crons"),
    ("/schedules", "Schedules"),
    ("/limits", "Limits"),
    ("/workers", "Workers"),
    ("/audit", "Audit"),
)
"""Those of the header: path and title."""
_BELONGS_TO = {
    "/lane": "/limits",
    "/limit": "/limits",
    "/cron": "/crons",
    "/name": "/names",
    "/tag": "/names",
    "/schedule": "/schedules",
}
"""Pages of one thing, and the page of the header that lists them."""


class Views:
    """The templates; every value in them is escaped."""

    def __init__(self, look: Look) -> None:
        self._templates = Environment(
            loader=PackageLoader("job_processor.web"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            STATUSES=STATUSES,
            PAGES=PAGES,
            LANGUAGES=texts.LANGUAGES,
            WAITS_FOR=WAITS_FOR,
            name=look.name,
            color=look.color,
        )
        filters = (pretty, flat, cut, weight, link, utc, utc_input, iso)
        self._templates.filters.update({each.__name__: each for each in filters})

    async def page(
        self, request: Request, template: str, answer: int = 200, **shown: Any
    ) -> HTMLResponse:
        """Return a page in the language of who asks."""
        language = texts.language_of(request)
        now = datetime.now(UTC)
        here = quote(path_of(request.scope), safe="/") or "/"
        query = request.scope.get("query_string", b"").decode("latin-1")
        done, refused = await told(request, language)
        text = self._templates.get_template(template).render(
            t=partial(texts.translate, language=language),
            words=partial(cron_in_words, language=language),
            n=partial(grouped, language=language),
            time=partial(time_tag, now=now, language=language),
            span=partial(span, language=language),
            took=partial(took, language=language),
            since=since,
            dated=partial(dated, now=now, language=language),
            phrase=partial(_phrase, language),
            dec=partial(decimal, language=language),
            theme=theme_of(request),
            percent=partial(percent, language=language),
            per_time=partial(per_time, language=language),
            language=language,
            root=root_of(request),
            here=here,
            place=_BELONGS_TO.get(here, here),
            **{"back": f"{here}?{query}" if query else here, **shown},
            csrf=csrf_of(request),
            may_act=request.scope.get("job_processor.access") == "all",
            told=done,
            refused=refused,
            now=now,
        )
        return HTMLResponse(text, answer)


def pretty(value: Any) -> str:
    """Return plain JSON values as text for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def flat(value: Any) -> str:
    """Return plain JSON values on one line."""
    return json.dumps(value, ensure_ascii=False)


def since(began: str, ended: str) -> int:
    """Return the milliseconds between two times of our JSON."""
    length = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return round(length.total_seconds() * 1000)


def _phrase(language: str, key: str, of: Mapping[str, str | int]) -> str:
    return phrase(key, language, of)


def utc_input(moment: datetime | None) -> str:
    """Return a time as a date picker takes it, in UTC."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def weight(text: str) -> int:
    """Return the bytes that a text takes in a page."""
    return len(escape(text).encode("utf-8", "replace"))


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that takes no more bytes in a page, with `…` for the rest."""
    if len(text) <= most and weight(text) <= most:
        return text
    size, place = 0, 0
    for letter in text:
        size += weight(letter)
        if size > most:
            break
        place += 1
    return f"{text[:place]}…"


def utc(moment: datetime) -> Markup:
    """Return a time by the clock of UTC; the script puts that of the reader's zone in its place."""
    told = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    marked = Markup('<time class="clock" datetime="{}">{} UTC</time>')
    return marked.format(moment.astimezone(UTC).isoformat(timespec="milliseconds"), told)


def iso(moment: datetime) -> str:
    """Return a time as it stands in an address: in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def link(parameters: Mapping[str, str], **changes: str | None) -> str:
    """Return a query of an address with some of its parameters changed; None removes one."""
    merged = {**parameters, **changes}
    kept = {key: value for key, value in merged.items() if value}
    return f"?{urlencode(kept)}" if kept else "?"


def time_tag(
    moment: datetime | str | None, brief: bool = False, *, now: datetime, language: str
) -> Markup | str:
    """Return a time as seen from now; the script shows the reader's own zone in its title.

    brief: in its largest unit alone, in as few bytes as there may be.
    """
    if not moment:
        return ""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        told = texts.translate("now", language)
    else:
        word = texts.translate("in" if seconds > 0 else "ago", language)
        length = span(abs(seconds), language) if abs(seconds) >= 10 else f"{int(abs(seconds))} s"
        length = " ".join(length.split(" ")[:2]) if brief else length
        told = f"{length} {word}" if word == "ago" else f"{word} {length}"
    utc = moment.astimezone(UTC)
    if brief:
        return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", told)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), f"{utc:%Y-%m-%d %H:%M:%S} UTC", told
    )


def dated(moment: datetime | str, zone: str, *, now: datetime, language: str) -> Markup:
    """Return a time by the clock of a zone, and as seen from now."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    seen = Markup('{} <span class="dim">{} · {}</span>')
    local, place = local_time(moment, zone, now, language), place_of(zone)
    return seen.format(local, place, time_tag(moment, now=now, language=language))
