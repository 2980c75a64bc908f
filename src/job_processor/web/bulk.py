"""One action on many jobs; what many would feel is shown first, and done when somebody says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from job_processor.acting import Action
from job_processor.errors import InvalidArgumentError
from job_processor.facade.reading import COUNT_CAP_OF_SELECTIONS
from job_processor.monitoring import job_json
from job_processor.processor import JobProcessor
from job_processor.web.reading import FILTERS, origin_of, selection_of

_SHOWN = 10


def needs_a_word(fields: Mapping[str, str]) -> bool:
    """True when it is to be shown first: all that match, or what cannot be undone."""
    wide = bool(fields.get("all")) or fields.get("do") == "delete"
    return wide and not fields.get("sure")


async def preview(request: Request, fields: Mapping[str, str], ids: Sequence[str]) -> Response:
    """Return a page that tells how many jobs it would be, with the first of them."""
    processor: JobProcessor = request.app.state.processor
    if fields.get("all"):
        selection = _selection(request, fields)
        count = await processor.count_jobs(COUNT_CAP_OF_SELECTIONS, **selection)
        jobs = (await processor.find_jobs(limit=_SHOWN, **selection)).jobs
    else:
        count = len(ids)
        found = [await processor.get_job(id) for id in ids[:_SHOWN]]
        jobs = tuple(job for job in found if job is not None)
    response: Response = request.app.state.views.page(
        request,
        "confirm.html",
        action=_action(fields),
        fields={name: value for name, value in fields.items() if name not in ("ids", "do")},
        ids=ids,
        count=count,
        cap=COUNT_CAP_OF_SELECTIONS,
        jobs=[request.app.state.redact(job_json(job)) for job in jobs],
        origin=origin_of(fields),
    )
    return response


async def act_on_many(request: Request, fields: Mapping[str, str], ids: Sequence[str]) -> str:
    """Do it; returns what to tell."""
    processor: JobProcessor = request.app.state.processor
    action = _action(fields)
    if fields.get("all"):
        acted = await processor.act_on_jobs(action, **_selection(request, fields))
    else:
        acted = await processor.act_on_jobs(action, ids)
    return f"{acted.done} done, {acted.left} left as they were"


def subject_of(fields: Mapping[str, str], ids: Sequence[str]) -> str:
    """Return what is noted of the jobs: the selection, or the ids of those selected.

    Texts that were looked for in payloads and errors are left out: they may be what those hide.
    """
    if not fields.get("all"):
        return ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
    given = [
        f"{key}={_noted(key, value)}" for key in FILTERS if (value := fields.get(f"filter_{key}"))
    ]
    return f"all with {', '.join(given)}" if given else "all jobs"


def _noted(key: str, value: str) -> str:
    if key == "payload":
        return f"{value.partition('=')[0].strip()}=…"
    return "…" if key == "error" else value


def _action(fields: Mapping[str, str]) -> Action:
    do: Any = fields.get("do", "")
    if do not in get_args(Action):
        raise InvalidArgumentError("do", do, f"allowed are {', '.join(get_args(Action))}")
    action: Action = do
    return action


def _selection(request: Request, fields: Mapping[str, str]) -> dict[str, Any]:
    filters = {key: fields.get(f"filter_{key}", "") for key in FILTERS}
    selection = selection_of(filters, request.app.state.redaction)
    return selection or {"type": None}
