"""One action on many jobs; what many would feel is shown first, and done when somebody says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from bson import ObjectId
from starlette.requests import Request
from starlette.responses import Response

from job_processor.errors import InvalidArgumentError, JobStateError, Unshown
from job_processor.jobs.actions import Acted, Action
from job_processor.jobs.selection import query_of
from job_processor.models import Job
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import COUNT_CAP_OF_SELECTIONS, LOOK_THROUGH
from job_processor.store.summaries import JobSummary
from job_processor.web.access import login_of
from job_processor.web.messages import Done, Undo
from job_processor.web.reading import FILTERS, listed_of, origin_of
from job_processor.web.seal import Seal

MOST_IDS = 1000
"""Jobs that may be chosen one by one; a page shows 50."""

_SHOWN = 10
_UNDONE = 60  # ids that a message has room for
_PATIENCE = 600.0  # seconds that a confirmation may be looked at
_PREFIX = "filter_"
_KNOWN = frozenset({*FILTERS, "order"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, to which jobs."""

    action: Action
    ids: tuple[str, ...]
    """Those that were chosen one by one; none: all of the selection."""
    filters: dict[str, str]
    up_to: str | None = None
    """The newest job that was shown; those that came later are left alone."""
    down_to: str | None = None
    """The oldest one that a search has looked at; those that it did not look at are left alone."""
    count: int = 0
    """How many there were."""
    once: str = ""
    """The id of the confirmation, which is good for one time."""
    login: str = ""
    """Who it was shown to."""

    @property
    def needs_a_word(self) -> bool:
        """True when it is to be shown first: all that match, or what cannot be undone."""
        return not self.ids or self.action == "delete"

    @property
    def subject(self) -> str:
        """What is noted of the jobs: the selection, or the ids of those that were chosen.

        Texts that were looked for in payloads and errors are left out: they may be what those hide.
        """
        if self.ids:
            return ", ".join(self.ids[:_SHOWN]) + (", …" if len(self.ids) > _SHOWN else "")
        given = [f"{key}={_noted(key, value)}" for key, value in self.filters.items()]
        return f"all with {', '.join(given)}" if given else "all jobs"


def plan_of(fields: Mapping[str, str], ids: Sequence[str]) -> Plan:
    """Return what a form asks for; raises InvalidArgumentError.

    A field that selects and is not known would leave the selection wider than somebody meant.
    """
    unknown = [name for name in fields if name.startswith(_PREFIX)]
    unknown = [name for name in unknown if name.removeprefix(_PREFIX) not in _KNOWN]
    if unknown:
        allowed = f"allowed are {', '.join(_PREFIX + name for name in FILTERS)}"
        raise InvalidArgumentError("filter", unknown[0][:50], allowed)
    if fields.get("all", "1") != "1":
        raise InvalidArgumentError("all", Unshown(fields["all"]), "allowed is 1, or no such field")
    if len(ids) > MOST_IDS:
        allowed = f"allowed are at most {MOST_IDS:,}; select them with all that match"
        raise InvalidArgumentError("ids", len(ids), allowed)
    given = {key: fields.get(f"{_PREFIX}{key}", "").strip() for key in FILTERS}
    filters = {key: value for key, value in given.items() if value}
    wanted = () if "all" in fields else tuple(ids)
    up_to = None if wanted else fields.get("up_to") or None
    return Plan(_action(fields), wanted, {} if wanted else filters, up_to)


async def preview(
    request: Request, fields: Mapping[str, str], plan: Plan, *, grown: bool = False
) -> Response:
    """Return a page that tells how many jobs it would be, with the first of them.

    Its form holds all of that, signed: what is done later is what was shown.
    grown: there are more of them than were shown before.
    """
    processor: JobProcessor = request.app.state.processor
    reach: ObjectId | None = None
    if plan.ids:
        count = len(plan.ids)
        found = [_named(await processor.get_job(id)) for id in plan.ids[:_SHOWN]]
        jobs = [job for job in found if job]
    else:
        selection = _selection(request, plan)
        listed = (await processor.list_jobs(limit=_SHOWN, **selection)).jobs
        jobs = [_named(job) for job in listed]
        count = await processor.count_jobs(COUNT_CAP_OF_SELECTIONS, **selection)
        reach = await _reach(processor, selection)
    shown = Plan(
        plan.action,
        plan.ids,
        plan.filters,
        up_to=None if plan.ids or not jobs else jobs[0]["_id"],
        down_to=None if reach is None else str(reach),
        count=count,
        once=str(ObjectId()),
        login=login_of(request),
    )
    response: Response = await request.app.state.views.page(
        request,
        "confirm.html",
        question=f"{plan.action} {'over' if count >= COUNT_CAP_OF_SELECTIONS else 'jobs'}?",
        of={"n": count},
        why=f"{plan.action} jobs: why",
        label=plan.action.capitalize(),
        removes=plan.action != "retry",
        sent={"sure": _seal(request).close("confirm", asdict(shown), seconds=_PATIENCE)},
        back=origin_of(fields),
        note="grown" if grown else "",
        jobs=jobs,
        more=count > len(jobs),
        looked_through=0 if reach is None else LOOK_THROUGH,
    )
    return response


def _named(job: Job | JobSummary | None) -> dict[str, str]:
    """Return what the page shows of a job, and keep nothing else of it; nothing of none."""
    if job is None:
        return {}
    return {"_id": str(job.id), "name": job.name, "status": job.status.value}


def confirmed(request: Request, fields: Mapping[str, str]) -> Plan:
    """Return what was shown and is to be done now; raises JobStateError when it was not shown."""
    kept = _seal(request).open("confirm", fields.get("sure", ""))
    if kept is None or kept["login"] != login_of(request):
        raise JobStateError("this was not shown to you, or long ago; choose the jobs again")
    return Plan(**{**kept, "ids": tuple(kept["ids"])})


async def has_grown(request: Request, plan: Plan) -> bool:
    """Return whether the selection holds more jobs than were shown, of those that were there."""
    if plan.ids or plan.count >= COUNT_CAP_OF_SELECTIONS:
        return False
    processor: JobProcessor = request.app.state.processor
    found = await processor.count_jobs(plan.count + 1, **_selection(request, plan))
    return found > plan.count


async def act_on_many(request: Request, plan: Plan) -> Acted:
    """Do it; returns to how many it was done, and why it was not done to the others."""
    processor: JobProcessor = request.app.state.processor
    if plan.ids:
        return await processor.act_on_jobs(plan.action, plan.ids)
    return await processor.act_on_jobs(plan.action, **_selection(request, plan))


def done(plan: Plan, acted: Acted) -> Done:
    """Return what to tell of it; a kill of few can be taken back."""
    undo = None
    if plan.action == "kill" and acted.done and 0 < len(plan.ids) <= _UNDONE:
        undo = Undo("Run again", (("do", "retry"), *(("ids", id) for id in plan.ids)))
    why = tuple((f"left {reason}", n) for reason, n in acted.why.items())
    return Done(f"{plan.action} many", {"n": acted.done}, undo, why)


def _noted(key: str, value: str) -> str:
    if key == "payload":
        return f"{value.partition('=')[0].strip()}=…"
    return "…" if key == "error" else value


def _action(fields: Mapping[str, str]) -> Action:
    do: Any = fields.get("do", "")
    if do not in get_args(Action):
        raise InvalidArgumentError("do", do[:50], f"allowed are {', '.join(get_args(Action))}")
    action: Action = do
    return action


def _selection(request: Request, plan: Plan) -> dict[str, Any]:
    selection = listed_of(plan.filters, request.app.state.redaction)
    bounds = {"up_to": plan.up_to, "down_to": plan.down_to}
    return selection | {name: bound for name, bound in bounds.items() if bound is not None}


async def _reach(processor: JobProcessor, selection: dict[str, Any]) -> ObjectId | None:
    """Return the last job that a search of this looks at; None where it looks at all there are."""
    query = query_of(processor.registry, **selection)
    return (
        await ready_parts_of(processor).store.history.reach(query) if query.looks_through else None
    )


def _seal(request: Request) -> Seal:
    seal: Seal = request.app.state.seal
    return seal
