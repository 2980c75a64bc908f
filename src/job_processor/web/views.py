"""From a template and what it shows to a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from job_processor import clock
from job_processor.models import WAITS_FOR
from job_processor.web import texts
from job_processor.web.cron_words import cron_in_words
from job_processor.web.forms import csrf_of
from job_processor.web.local_times import local_time, place_of
from job_processor.web.messages import told
from job_processor.web.places import path_of, root_of

STATUSES = ("pending", "running", "paused", "finished", "errored", "killed", "skipped")
_SEPARATORS = {"en": ",", "fr": "\N{NARROW NO-BREAK SPACE}"}


class Views:
    """The templates; every value in them is escaped."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("job_processor.web"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            STATUSES=STATUSES, LANGUAGES=texts.LANGUAGES, WAITS_FOR=WAITS_FOR
        )
        self._templates.filters.update(pretty=pretty, flat=flat, link=link)

    def page(
        self, request: Request, template: str, answer: int = 200, **shown: Any
    ) -> HTMLResponse:
        """Return a page in the language of who asks."""
        language = texts.language_of(request)
        now = datetime.now(UTC)
        here = quote(path_of(request.scope), safe="/") or "/"
        query = request.scope.get("query_string", b"").decode("latin-1")
        done, refused = told(request)
        text = self._templates.get_template(template).render(
            t=partial(texts.translate, language=language),
            words=partial(cron_in_words, language=language),
            n=partial(grouped, language=language),
            time=partial(time_tag, now=now, language=language),
            span=partial(span, language=language),
            took=partial(took, language=language),
            since=since,
            dated=partial(dated, now=now, language=language),
            language=language,
            root=root_of(request),
            here=here,
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


def grouped(number: int, language: str) -> str:
    """Return a whole number in groups of three digits, as a language parts them."""
    return f"{number:,}".replace(",", _SEPARATORS[language])


def span(seconds: float | None, language: str = "en") -> str:
    """Return a span of time; nothing where there is none."""
    return "" if seconds is None else clock.span(seconds, texts.translate("d", language))


def took(milliseconds: int | None, language: str = "en") -> str:
    """Return how long a run took; nothing where it is not known."""
    return span(None if milliseconds is None else milliseconds / 1000, language)


def since(began: str, ended: str) -> int:
    """Return the milliseconds between two times of our JSON."""
    length = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return round(length.total_seconds() * 1000)


def link(parameters: Mapping[str, str], **changes: str | None) -> str:
    """Return a query of an address with some of its parameters changed; None removes one."""
    merged = {**parameters, **changes}
    kept = {key: value for key, value in merged.items() if value}
    return f"?{urlencode(kept)}" if kept else "?"


def time_tag(moment: datetime | str | None, *, now: datetime, language: str) -> Markup | str:
    """Return a time as seen from now; the script shows the reader's own zone in its title."""
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
        told = f"{length} {word}" if word == "ago" else f"{word} {length}"
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), f"{utc:%Y-%m-%d %H:%M:%S} UTC", told
    )


def dated(moment: datetime, zone: str, *, now: datetime, language: str) -> Markup:
    """Return a time by the clock of a zone, and as seen from now."""
    seen = Markup('{} <span class="dim">{} · {}</span>')
    local, place = local_time(moment, zone, now, language), place_of(zone)
    return seen.format(local, place, time_tag(moment, now=now, language=language))
