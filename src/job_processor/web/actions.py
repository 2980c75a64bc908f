"""What the buttons of the pages do: one form, whose field `do` says what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from bson import ObjectId
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from job_processor.errors import GroupNotFoundError, InvalidArgumentError, JobProcessorError
from job_processor.handlers.groups import Group
from job_processor.processor import JobProcessor
from job_processor.web import again, bulk, limiting, texts
from job_processor.web.auditing import audited
from job_processor.web.cookies import set_cookie
from job_processor.web.forms import form_of
from job_processor.web.messages import tell
from job_processor.web.places import root_of
from job_processor.web.problems import problem
from job_processor.web.reading import origin_of

Fields: TypeAlias = Mapping[str, str]
Do: TypeAlias = Callable[[JobProcessor, Fields], Awaitable[str]]

GROWN = "There are more of them now. Look again:"


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
                return await bulk.preview(request, fields, plan, GROWN)
            told = await _act_on_many(request, plan)
        elif ids or "all" in fields:
            plan = bulk.plan_of(fields, ids)
            if plan.needs_a_word:
                return await bulk.preview(request, fields, plan)
            told = await _act_on_many(request, plan)
        else:
            told = await _act_on_one(request, fields)
    except JobProcessorError as error:
        return _back(request, fields, error=str(error))
    return _back(request, fields, done=told)


async def language(request: Request) -> Response:
    """Keep the language that somebody has chosen."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    response = _back(request, fields)
    if fields.get("language") in texts.LANGUAGES:
        set_cookie(request, texts.COOKIE, fields["language"], seconds=31_536_000)
    return response


async def _act_on_many(request: Request, plan: bulk.Plan) -> str:
    once = ObjectId(plan.once) if plan.once else None
    async with audited(request, plan.action, plan.subject, once=once) as outcome:
        outcome.told = await bulk.act_on_many(request, plan)
    return outcome.told


async def _act_on_one(request: Request, fields: Fields) -> str:
    state, named = request.app.state, fields.get("do", "")
    do = _ACTIONS.get(named)
    if do is None and named != "schedule":
        allowed = f"allowed are schedule, {', '.join(_ACTIONS)}"
        raise InvalidArgumentError("do", named[:50], allowed)
    async with audited(request, named, _subject(fields)) as outcome:
        if do is not None:
            return await do(state.processor, fields)
        outcome.told = await again.schedule(state.processor, state.redaction, fields)
    return outcome.told


def _subject(fields: Fields) -> str:
    tag = fields.get("tag")
    for value in ("amount", "rate", "seconds"):
        if value in fields:
            return f"{fields.get('name')}: {fields[value][:50]}"
    return fields.get("id") or fields.get("name") or (f"tag {tag}" if tag else "")


async def _kill(processor: JobProcessor, fields: Fields) -> str:
    return str((await processor.kill_job(fields.get("id", ""))).id)


async def _retry(processor: JobProcessor, fields: Fields) -> str:
    options = {name: name in fields for name in ("from_beginning", "descendants")}
    step = fields.get("from_step")
    job = await processor.retry_job(fields.get("id", ""), from_step=step, **options)
    return str(job.id)


async def _delete(processor: JobProcessor, fields: Fields) -> str:
    await processor.delete_job(fields.get("id", ""))
    return fields.get("id", "")


async def _run_cron(processor: JobProcessor, fields: Fields) -> str:
    return str((await processor.run_cron(fields.get("name", ""))).id)


async def _pause(processor: JobProcessor, fields: Fields) -> str:
    await processor.pause(fields.get("name") or None, tag=fields.get("tag") or None)
    return fields.get("name") or f"tag {fields.get('tag')}"


async def _resume(processor: JobProcessor, fields: Fields) -> str:
    await processor.resume(fields.get("name") or None, tag=fields.get("tag") or None)
    return fields.get("name") or f"tag {fields.get('tag')}"


async def _pause_schedule(processor: JobProcessor, fields: Fields) -> str:
    return (await processor.pause_schedule(fields.get("name", ""))).name


async def _resume_schedule(processor: JobProcessor, fields: Fields) -> str:
    return (await processor.resume_schedule(fields.get("name", ""))).name


async def _remove_schedule(processor: JobProcessor, fields: Fields) -> str:
    await processor.remove_schedule(fields.get("name", ""))
    return fields.get("name", "")


async def _stop(processor: JobProcessor, fields: Fields) -> str:
    await processor.stop_worker(fields.get("id", ""))
    return fields.get("id", "")


async def _group(processor: JobProcessor, fields: Fields) -> Group:
    found = await processor.get_group(fields.get("id", ""))
    if found is None:
        raise GroupNotFoundError(fields.get("id", ""))
    return found


async def _kill_group(processor: JobProcessor, fields: Fields) -> str:
    group = await _group(processor, fields)
    return f"{group.id}: {await group.kill()}"


async def _retry_group(processor: JobProcessor, fields: Fields) -> str:
    group = await _group(processor, fields)
    return f"{group.id}: {await group.retry()}"


async def _kill_flow(processor: JobProcessor, fields: Fields) -> str:
    flow_id = fields.get("id", "")
    return f"{flow_id}: {(await processor.kill_flow(flow_id)).done}"


async def _retry_flow(processor: JobProcessor, fields: Fields) -> str:
    flow_id = fields.get("id", "")
    return f"{flow_id}: {(await processor.retry_flow(flow_id)).done}"


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


def _back(request: Request, fields: Fields, *, done: str = "", error: str = "") -> RedirectResponse:
    """Lead back to a page of ours, with what there is to say."""
    if done or error:
        tell(request, done=done, error=error)
    return RedirectResponse(f"{root_of(request)}{origin_of(fields)}", status_code=303)
