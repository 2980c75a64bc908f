"""What somebody means who types into the box of the jobs page: an id, a name, a label, a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bson import ObjectId
from starlette.requests import Request

from job_processor.errors import InvalidArgumentError
from job_processor.jobs.selection import SHORTEST_END
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import STATUS_NAMES
from job_processor.web.views import link

MOST = 20
"""Names that are offered."""

_ID_END = re.compile(rf"[0-9a-f]{{{SHORTEST_END},23}}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a text may mean: where that leads, or several things to choose from."""

    to: str | None = None
    """A path below the dashboard."""
    names: tuple[str, ...] = ()
    """Names with the text in them, of which there is more than one."""
    more: bool = False
    """True where there are more of these."""
    label: bool = False
    """True where a job has it as its label."""


async def names_of(processor: JobProcessor) -> list[str]:
    """Return the names that are defined here or that jobs have, the first of them, in order."""
    stored = await ready_parts_of(processor).store.history.names(STATUS_NAMES)
    return sorted({*processor.registry.all, *(name for _, name in stored)})


def named_like(names: list[str], text: str) -> list[str]:
    """Return the names that hold a text, whatever the case; those that begin with it first."""
    wanted = text.lower()
    found = [name for name in names if wanted in name.lower()]
    return sorted(found, key=lambda name: not name.lower().startswith(wanted))


async def find(request: Request, text: str, filters: Mapping[str, str]) -> Found:
    """Return what a text means, beside the filters that are set already.

    Asked in this order: an id, a name, a part of names, a label, a field of the payload with its
    value, the end of an id, a text in errors.
    """
    processor: JobProcessor = request.app.state.processor
    if ObjectId.is_valid(text) and (place := await _place_of(processor, text)):
        return Found(place)
    names = await names_of(processor)
    if text in names:
        return Found(_jobs(filters, name=text))
    like = named_like(names, text)
    label = await _is_label(processor, text)
    if len(like) + label > 1:
        return Found(None, tuple(like[:MOST]), len(like) > MOST, label)
    if like or label:
        return Found(_jobs(filters, **({"name": like[0]} if like else {"label": text})))
    if "=" in text:
        return Found(_jobs(filters, payload=text))
    if _ID_END.fullmatch(text.lower()):
        return Found(_jobs(filters, id_end=text.lower()))
    return Found(_jobs(filters, error=text[:200]))


async def _place_of(processor: JobProcessor, id: str) -> str | None:
    """Return the page of what has an id: a job, a flow or a group."""
    if await processor.get_job(id) is not None:
        return f"/jobs/{id}"
    if await processor.get_flow(id) is not None:
        return f"/flows/{id}"
    if await processor.get_group(id) is not None:
        return f"/groups/{id}"
    registrations = await processor.get_registrations()
    if any(str(worker.id) == id for worker in registrations.workers):
        return f"/jobs{link({}, worker=id)}"
    return None


async def _is_label(processor: JobProcessor, text: str) -> bool:
    try:
        return bool((await processor.list_jobs(label=text, limit=1)).jobs)
    except InvalidArgumentError:  # of another length than labels have
        return False


def _jobs(filters: Mapping[str, str], **more: str) -> str:
    return f"/jobs{link(filters, **more)}"
