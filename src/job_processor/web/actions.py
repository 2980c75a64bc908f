"""What the buttons of the pages do: one form, whose field `do` says what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from bson import ObjectId
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from job_processor.errors import (
    GroupNotFoundError,
    InvalidArgumentError,
    JobProcessorError,
    ScheduleNotFoundError,
)
from job_processor.handlers.groups import Group
from job_processor.models import CronTask, JobStatus
from job_processor.processor import JobProcessor
from job_processor.web import again, asking, bulk, limiting, looks, texts
from job_processor.web.auditing import audited
from job_processor.web.cookies import set_cookie
from job_processor.web.forms import form_of
from job_processor.web.messages import Done, Undo, tell
from job_processor.web.problems import problem
from job_processor.web.reading import back_to, origin_of

Fields: TypeAlias = Mapping[str, str]
Do: TypeAlias = Callable[[JobProcessor, Fields], Awaitable[Done]]

_YEAR = 31_536_000  # seconds


async def act(request: Request) -> Response:
    """Do what a form asks for, note who did it, and go back to where it was asked."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    ids = [value for name, value in pairs if name == "ids"]
    try:
        if "sure" in fields:
            plan = bulk.confirmed(request, fields)
            if await bulk.has_grown(request, plan):
                return await bulk.preview(request, fields, plan, grown=True)
            done = await _act_on_many(request, plan)
        elif ids or "all" in fields:
            plan = bulk.plan_of(fields, ids)
            if plan.needs_a_word:
                return await bulk.preview(request, fields, plan)
            done = await _act_on_many(request, plan)
        else:
            question = await asking.question(request.app.state.processor, fields)
            if question is not None:
                return await _ask(request, fields, question)
            done = await _act_on_one(request, fields)
    except JobProcessorError as error:
        return _back(request, fields, error=str(error))
    return _back(request, fields, done=done)


async def language(request: Request) -> Response:
    """Keep the language that somebody has chosen."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    if fields.get("language") in texts.LANGUAGES:
        set_cookie(request, texts.COOKIE, fields["language"], seconds=_YEAR)
    return _back(request, fields)


async def theme(request: Request) -> Response:
    """Keep the theme that somebody has chosen."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    if fields.get("theme") in looks.THEMES:
        set_cookie(request, looks.COOKIE, fields["theme"], seconds=_YEAR)
    return _back(request, fields)


async def _ask(request: Request, fields: Fields, question: asking.Question) -> Response:
    """Return the page of a question; its form sends the same once more, confirmed."""
    sent = {name: value for name, value in fields.items() if name not in ("csrf", "back")}
    response: Response = await request.app.state.views.page(
        request,
        "confirm.html",
        question=question.key,
        of={"name": question.name},
        why=question.why,
        label=question.label,
        removes=True,
        sent={**sent, asking.CONFIRMED: "1"},
        back=origin_of(fields),
    )
    return response


async def _act_on_many(request: Request, plan: bulk.Plan) -> Done:
    once = ObjectId(plan.once) if plan.once else None
    async with audited(request, plan.action, plan.subject, once=once) as outcome:
        acted = await bulk.act_on_many(request, plan)
        outcome.told = f"{acted.done} done, {acted.left} left as they were"
    return bulk.done(plan, acted)


async def _act_on_one(request: Request, fields: Fields) -> Done:
    state, named = request.app.state, fields.get("do", "")
    do = _ACTIONS.get(named)
    if do is None and named != "schedule":
        allowed = f"allowed are schedule, {', '.join(_ACTIONS)}"
        raise InvalidArgumentError("do", named[:50], allowed)
    async with audited(request, named, _subject(fields)) as outcome:
        if do is not None:
            return await do(state.processor, fields)
        outcome.told = await again.schedule(state.processor, state.redaction, fields)
    return Done("scheduled", {"name": fields.get("name", "")}, link=f"/jobs/{outcome.told}")


def _subject(fields: Fields) -> str:
    tag = fields.get("tag")
    for value in ("amount", "rate", "seconds"):
        if value in fields:
            return f"{fields.get('name')}: {fields[value][:50]}"
    return fields.get("id") or fields.get("name") or (f"tag {tag}" if tag else "")


async def _kill(processor: JobProcessor, fields: Fields) -> Done:
    before = await processor.get_job(fields.get("id", ""))
    job = await processor.kill_job(fields.get("id", ""))
    if before is not None and before.settled:
        return Done("not killed", {"name": job.name, "status": job.status.value})
    if job.status is not JobStatus.KILLED:
        return Done("kill asked", {"name": job.name})
    again = None if isinstance(job, CronTask) else Undo.by("Run again", "retry", id=str(job.id))
    return Done("killed", {"name": job.name}, again)


async def _retry(processor: JobProcessor, fields: Fields) -> Done:
    options = {name: name in fields for name in ("from_beginning", "descendants")}
    step = fields.get("from_step")
    job = await processor.retry_job(fields.get("id", ""), from_step=step, **options)
    undo = Undo.by("Kill it", "kill", id=str(job.id))
    if step is not None:
        return Done("retried from", {"name": job.name, "step": step}, undo)
    return Done("retried", {"name": job.name}, undo)


async def _delete(processor: JobProcessor, fields: Fields) -> Done:
    job = await processor.get_job(fields.get("id", ""))
    await processor.delete_job(fields.get("id", ""))
    return Done("deleted", {"name": fields.get("id", "") if job is None else job.name})


async def _run_cron(processor: JobProcessor, fields: Fields) -> Done:
    job = await processor.run_cron(fields.get("name", ""))
    return Done("cron run", {"name": job.name}, link=f"/jobs/{job.id}")


async def _pause(processor: JobProcessor, fields: Fields) -> Done:
    name, tag = _name_or_tag(fields)
    await processor.pause(name, tag=tag)
    return Done(*_paused("paused", name, tag), Undo.by("Resume", "resume", **_of(name, tag)))


async def _resume(processor: JobProcessor, fields: Fields) -> Done:
    name, tag = _name_or_tag(fields)
    await processor.resume(name, tag=tag)
    return Done(*_paused("resumed", name, tag), Undo.by("Pause", "pause", **_of(name, tag)))


def _name_or_tag(fields: Fields) -> tuple[str | None, str | None]:
    return fields.get("name") or None, fields.get("tag") or None


def _of(name: str | None, tag: str | None) -> dict[str, str]:
    return {"name": name} if name else {"tag": tag or ""}


def _paused(what: str, name: str | None, tag: str | None) -> tuple[str, dict[str, str]]:
    return (what, {"name": name}) if name else (f"tag {what}", {"name": tag or ""})


async def _pause_schedule(processor: JobProcessor, fields: Fields) -> Done:
    name = (await processor.pause_schedule(fields.get("name", ""))).name
    return Done("schedule paused", {"name": name}, Undo.by("Resume", "resume_schedule", name=name))


async def _resume_schedule(processor: JobProcessor, fields: Fields) -> Done:
    name = (await processor.resume_schedule(fields.get("name", ""))).name
    return Done("schedule resumed", {"name": name}, Undo.by("Pause", "pause_schedule", name=name))


async def _remove_schedule(processor: JobProcessor, fields: Fields) -> Done:
    if not await processor.remove_schedule(fields.get("name", "")):
        raise ScheduleNotFoundError(fields.get("name", ""))
    return Done("schedule removed", {"name": fields.get("name", "")})


async def _stop(processor: JobProcessor, fields: Fields) -> Done:
    name = await asking.worker_name(processor, fields.get("id", ""))
    await processor.stop_worker(fields.get("id", ""))
    return Done("stopped", {"name": name})


async def _group(processor: JobProcessor, fields: Fields) -> Group:
    found = await processor.get_group(fields.get("id", ""))
    if found is None:
        raise GroupNotFoundError(fields.get("id", ""))
    return found


async def _kill_group(processor: JobProcessor, fields: Fields) -> Done:
    group = await _group(processor, fields)
    killed = await group.kill()
    back = Undo.by("Retry failed jobs", "retry_group", id=str(group.id)) if killed else None
    return Done("group killed", {"n": killed}, back)


async def _retry_group(processor: JobProcessor, fields: Fields) -> Done:
    return Done("group retried", {"n": await (await _group(processor, fields)).retry()})


async def _kill_flow(processor: JobProcessor, fields: Fields) -> Done:
    flow_id = fields.get("id", "")
    killed = (await processor.kill_flow(flow_id)).done
    back = Undo.by("Retry failed jobs", "retry_flow", id=flow_id) if killed else None
    return Done("flow killed", {"n": killed}, back)


async def _retry_flow(processor: JobProcessor, fields: Fields) -> Done:
    return Done("flow retried", {"n": (await processor.retry_flow(fields.get("id", ""))).done})


_ACTIONS: Mapping[str, Do] = {
    "kill_flow": _kill_flow,
    "retry_flow": _retry_flow,
    "kill_group": _kill_group,
    "retry_group": _retry_group,
    "kill": _kill,
    "retry": _retry,
    "delete": _delete,
    "run_cron": _run_cron,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "pause_schedule": _pause_schedule,
    "resume_schedule": _resume_schedule,
    "remove_schedule": _remove_schedule,
    **limiting.ACTIONS,
}


def _back(
    request: Request, fields: Fields, *, done: Done | None = None, error: str = ""
) -> RedirectResponse:
    """Lead back to a page of ours, with what there is to say."""
    if done or error:
        tell(request, done=done, error=error)
    return back_to(request, fields)
