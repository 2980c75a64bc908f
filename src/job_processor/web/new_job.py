"""One job scheduled by hand: its form, made of the class of its payload, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from job_processor.errors import InvalidArgumentError, JobProcessorError
from job_processor.handlers.inputs import Input, inputs_of
from job_processor.processor import JobProcessor
from job_processor.settings import check_name
from job_processor.values import normalize_payload
from job_processor.web import payload_form
from job_processor.web.auditing import audited
from job_processor.web.carried import views_of
from job_processor.web.forms import form_of
from job_processor.web.messages import Done, tell
from job_processor.web.payload_form import Shown
from job_processor.web.places import root_of
from job_processor.web.problems import problem, status_of
from job_processor.web.reading import moment_of, number_of

_OPTIONS = ("payload", "when", "priority")


@dataclass(frozen=True, slots=True)
class Form:
    """What the template shows."""

    name: str
    inputs: list[Shown] | None
    """The fields of the payload; None: it is written as JSON."""
    typed: bool
    """True where there are fields, whether they are shown or not."""
    given: Mapping[str, str] = field(default_factory=dict)
    """What was sent, besides the fields."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by field; by "" what is wrong with no field."""


def form_for(request: Request, name: str, *, as_json: bool = False) -> Form:
    """Return the form of a name, with the defaults of its code."""
    inputs = _inputs(request, name)
    if inputs is None or as_json:
        return Form(name, None, typed=bool(inputs))
    return Form(name, payload_form.shown(inputs, request.app.state.redaction), typed=bool(inputs))


async def page(request: Request) -> Response:
    """The form alone; `json=1` writes the payload as JSON."""
    name = request.query_params.get("name", "")
    check_name("name", name)
    form = form_for(request, name, as_json="json" in request.query_params)
    return await views_of(request).page(request, "new.html", form=form)


async def create(request: Request) -> Response:
    """Schedule what the form holds, and lead to the job; or show it again with what is wrong."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    name = fields.get("name", "")
    inputs = None if "as_json" in fields else _inputs(request, name)
    try:
        check_name("name", name)
        payload, errors = _payload_of(request, inputs, fields)
        options = _options(fields, errors)
        if not errors:
            return await _scheduled(request, name, payload, options)
    except JobProcessorError as error:
        return await _again(request, inputs, fields, _places(error, inputs), status_of(error))
    return await _again(request, inputs, fields, errors)


async def _scheduled(
    request: Request, name: str, payload: Any, options: Mapping[str, Any]
) -> Response:
    processor: JobProcessor = request.app.state.processor
    async with audited(request, "schedule", name) as outcome:
        job = await processor.schedule_job(name, payload, **options)
        outcome.told = str(job.id)
    tell(request, done=Done("scheduled", {"name": name}))
    return RedirectResponse(f"{root_of(request)}/jobs/{job.id}", status_code=303)


def _inputs(request: Request, name: str) -> tuple[Input, ...] | None:
    return inputs_of(request.app.state.processor.registry.jobs.get(name))


def _payload_of(
    request: Request, inputs: tuple[Input, ...] | None, fields: Mapping[str, str]
) -> tuple[Any, dict[str, str]]:
    """Return the payload, and what is wrong with its fields."""
    if inputs is None:
        try:
            payload = normalize_payload(payload_form.json_of(fields.get("payload", "")))
        except InvalidArgumentError as error:
            return None, {"payload": error.allowed}
        return request.app.state.redaction.restored(payload, None), {}
    filled = payload_form.filled(inputs, fields, request.app.state.redaction)
    return filled.payload or None, filled.errors


def _options(fields: Mapping[str, str], errors: dict[str, str]) -> dict[str, Any]:
    """Return what is said of the job besides its payload; what is wrong goes to the errors."""
    options: dict[str, Any] = {}
    try:
        options["scheduled_for"] = moment_of(fields, "when")
    except InvalidArgumentError as error:
        errors["when"] = error.allowed
    try:
        options["priority"] = number_of(fields, "priority", 0)
    except InvalidArgumentError as error:
        errors["priority"] = error.allowed
    return options


def _places(error: JobProcessorError, inputs: tuple[Input, ...] | None) -> dict[str, str]:
    """Return what an error says of each field; by "" what it says of none."""
    if not isinstance(error, InvalidArgumentError):
        return {"": str(error)}
    own = {"scheduled_for": "when", "priority": "priority"}.get(error.argument)
    if own is None and inputs is None and error.argument.startswith("payload"):
        own = "payload"
    if own is not None:
        return {own: error.allowed if own != "payload" else str(error)}
    found = payload_form.places(error, inputs or ())
    return found if found.keys() != {""} else {"": str(error)}


async def _again(
    request: Request,
    inputs: tuple[Input, ...] | None,
    fields: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 422,
) -> Response:
    """Return the form as it was filled in, with what is wrong at each field."""
    shown = None
    if inputs is not None:
        shown = payload_form.shown(inputs, request.app.state.redaction, fields, errors)
    given = {name: fields.get(name, "") for name in _OPTIONS}
    given["when"] = payload_form.in_utc(fields, "when")
    placed = {each.input.name for each in shown or ()} | set(_OPTIONS)
    loose = "; ".join(text for name, text in errors.items() if name not in placed)
    form = Form(
        fields.get("name", "")[:200],
        shown,
        typed=bool(inputs) or "as_json" in fields,
        given=given,
        errors={**{name: text for name, text in errors.items() if name in placed}, "": loose},
    )
    return await views_of(request).page(
        request, "new.html", status, form=form, back="/new", sent=True
    )
