"""The API as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.models import JobStatus
from job_processor.settings import GROUP_PAGE, LABEL_LENGTH, LABELS
from job_processor.version import version
from job_processor.web.api import OWN_HEADER
from job_processor.web.places import root_of

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_FROM_BEGINNING = {
    "name": "from_beginning",
    "in": "query",
    "schema": {"enum": ["true", "false"]},
    "description": "repeat all of its steps",
}
_DESCENDANTS = {
    "name": "descendants",
    "in": "query",
    "schema": {"enum": ["true", "false"]},
    "description": "also retry the jobs that were skipped because it failed",
}
_FROM_STEP = {
    "name": "from_step",
    "in": "query",
    "schema": {"type": "string"},
    "description": "repeat this step and those after it",
}
_PROBLEM = {
    "description": "a problem document",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


async def document(request: Request) -> Response:
    """Return the document, for where this application is mounted."""
    return JSONResponse(describe(root_of(request) or "/"))


def describe(root: str) -> dict[str, Any]:
    """Return the document."""
    job, jobs = {"$ref": "#/components/schemas/Job"}, {"$ref": "#/components/schemas/Jobs"}
    anything: dict[str, Any] = {"type": "object"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "job-processor", "version": version()},
        "servers": [{"url": root}],
        "paths": {
            "/healthz": {"get": _operation("whether a worker is alive", anything, 503)},
            "/scaling": {
                "get": {
                    **_operation("waiting jobs, and how many workers they need", anything, 400),
                    "parameters": _scaling_parameters(),
                }
            },
            "/api/status": {"get": _operation("workers, queue, jobs and crons", anything)},
            "/api/processor-status": {"get": _operation("the same", anything)},
            "/api/jobs": {
                "get": {
                    **_operation("a page of jobs, newest first", jobs, 400),
                    "parameters": _query_parameters(),
                },
                "post": {
                    **_operation("schedule a job", job, 400, 408, 409, 413, 422, success=201),
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/New"}}
                        },
                    },
                },
            },
            "/api/jobs/{id}": {
                "parameters": [_ID],
                "get": _operation("a job", job, 400, 404),
                "delete": _unforged(_operation("remove it", None, 400, 404, 409, success=204)),
            },
            "/api/jobs/{id}/kill": {
                "parameters": [_ID],
                "post": _unforged(_operation("kill it", job, 400, 404)),
            },
            "/api/jobs/{id}/retry": {
                "parameters": [_ID, _FROM_BEGINNING, _FROM_STEP, _DESCENDANTS],
                "post": _unforged(_operation("retry it", job, 400, 404, 409)),
            },
            "/api/flows": {
                "get": {
                    **_operation("the newest flows with counts of their jobs", anything, 400),
                    "parameters": _page_of_groups(),
                }
            },
            "/api/flows/{id}": {
                "parameters": [_ID],
                "get": _operation("a flow: its levels and counts", anything, 400, 404),
            },
            "/api/flows/{id}/kill": {
                "parameters": [_ID],
                "post": _unforged(_operation("kill what is active in it", anything, 400, 404)),
            },
            "/api/flows/{id}/retry": {
                "parameters": [_ID],
                "post": _unforged(_operation("retry its failed jobs", anything, 400, 404)),
            },
            "/api/groups": {
                "get": {
                    **_operation("the newest groups with counts of their members", anything, 400),
                    "parameters": _page_of_groups(),
                }
            },
            "/api/groups/{id}": {
                "parameters": [_ID],
                "get": _operation("a group with counts of its members", anything, 400, 404),
            },
            "/api/groups/{id}/kill": {
                "parameters": [_ID],
                "post": _unforged(_operation("kill its members", anything, 400, 404)),
            },
            "/api/groups/{id}/retry": {
                "parameters": [_ID],
                "post": _unforged(
                    _operation("retry the members that did not finish", anything, 400, 404, 409)
                ),
            },
            "/api/names": {
                "parameters": [{"name": "like", "in": "query", "schema": {"type": "string"}}],
                "get": _operation(
                    "only names, those with a text in them; see /api/name for one", anything
                ),
            },
            "/api/crons": {"get": _operation("all crons with their next times", anything)},
            **_name_paths(anything),
            "/api/workers": {"get": _operation("workers with what they run", anything)},
            **_schedule_paths(),
            **_limiting(anything),
        },
        "components": {"schemas": _schemas()},
    }


def _scaling_parameters() -> list[dict[str, Any]]:
    """Describe what is asked about; a tag or name may stand there several times."""
    texts = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in ("tag", "name")
    ]
    number = {"type": "integer", "minimum": 0, "maximum": 100_000}
    numbers = [
        {"name": name, "in": "query", "schema": number} for name in ("concurrency", "min", "max")
    ]
    return [*texts, *numbers]


def _schedule_paths() -> dict[str, Any]:
    schedule = {"$ref": "#/components/schemas/Schedule"}
    name = {**_ID, "name": "name"}
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/NewSchedule"}}}
    return {
        "/api/schedules": {
            "get": {
                **_operation("a page of schedules by name", {"type": "object"}, 400),
                "parameters": [
                    {"name": each, "in": "query", "schema": {"type": kind}}
                    for each, kind in (("limit", "integer"), ("after", "string"), ("job", "string"))
                ],
            }
        },
        "/api/schedules/{name}": {
            "parameters": [name],
            "get": _operation("a schedule", schedule, 400, 404),
            "put": {
                **_operation("create or change it", schedule, 400, 408, 413, 422),
                "requestBody": {"required": True, "content": body},
            },
            "delete": _unforged(_operation("remove it", None, 400, 404, success=204)),
        },
        "/api/schedules/{name}/pause": {
            "parameters": [name],
            "post": _unforged(_operation("pause it", schedule, 400, 404)),
        },
        "/api/schedules/{name}/resume": {
            "parameters": [name],
            "post": _unforged(_operation("resume it", schedule, 400, 404)),
        },
    }


def _name_paths(anything: dict[str, Any]) -> dict[str, Any]:
    """Return what there is of names, pauses and a cron."""
    text = {"type": "string"}
    spans = {"enum": ["hour", "day", "week"]}
    sorts = {"enum": ["name", "runs", "failed", "time", "delay"]}
    number = {"type": "integer", "minimum": 0}
    asked = (("span", spans), ("sort", sorts), ("q", text), ("skip", number))
    parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in asked]
    one = {"name": "name", "in": "query", "required": True, "schema": text}
    body = {
        "type": "object",
        "required": ["paused"],
        "additionalProperties": False,
        "properties": {"name": text, "tag": text, "paused": {"type": "boolean"}},
        "oneOf": [{"required": ["name"]}, {"required": ["tag"]}],
    }
    return {
        "/api/crons/{name}/run": {
            "parameters": [{**_ID, "name": "name"}],
            "post": _unforged(_operation("run it once now", anything, 400, 422, success=201)),
        },
        "/api/figures": {
            "get": {
                **_operation("names with their figures", anything, 400),
                "parameters": parameters,
            }
        },
        "/api/name": {
            "get": {
                **_operation(
                    "one name, given in full: counts, figures, errors, limit", anything, 400, 404
                ),
                "parameters": [one],
            }
        },
        "/api/pauses": {
            "get": _operation("names and tags that are paused", anything),
            "post": {
                **_operation("pause or resume a name or a tag", anything, 400, 408, 413, 422),
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": body}},
                },
            },
        },
    }


def _limiting(anything: dict[str, Any]) -> dict[str, Any]:
    """Return what there is of limits and rates."""
    lanes = {"name": "lanes", "in": "query", "schema": {"type": "integer", "minimum": 0}}
    lane = {"name": "lane", "in": "query", "required": True, "schema": {"type": "string"}}
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}
    listed = _operation("limits with their fullest lanes", anything, 400)
    one = _operation("a lane with its jobs", anything, 400)
    return {
        "/api/limits": {
            "get": {**listed, "parameters": [lanes]},
            "post": _change("change a limit; null: as the code says", "amount", "integer", "null"),
        },
        "/api/lane": {"get": {**one, "parameters": [lane, limit]}},
        "/api/rates": {
            "get": _operation("rates", anything),
            "post": _change("change a rate; null: as the code says", "rate", "string", "null"),
        },
        "/api/rates/hold": {"post": _change("let nothing start for a time", "seconds", "number")},
    }


def _change(summary: str, field: str, *types: str) -> dict[str, Any]:
    """Return an operation that takes a name and a value, and answers with all there are."""
    body = {
        "type": "object",
        "required": ["name", field],
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, field: {"type": list(types)}},
    }
    return {
        **_operation(summary, {"type": "object"}, 400, 408, 413, 422),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _operation(
    summary: str, schema: dict[str, Any] | None, *problems: int, success: int = 200
) -> dict[str, Any]:
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    responses: dict[str, Any] = {str(success): {"description": "done", **content}}
    for status in (*problems, 401, 403, 503):
        responses[str(status)] = _PROBLEM
    return {"summary": summary, "responses": responses}


def _unforged(operation: dict[str, Any]) -> dict[str, Any]:
    """Return an operation that asks for what no form of another site can send."""
    header = {
        "name": OWN_HEADER,
        "in": "header",
        "required": True,
        "schema": {"type": "string", "pattern": "^[a-z]+$"},
        "description": "anything; not needed beside a bearer token or application/json",
    }
    return {**operation, "parameters": [header]}


_LABELS = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": LABEL_LENGTH},
    "maxItems": LABELS,
}


def _page_of_groups() -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "maximum": GROUP_PAGE}
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {"name": "after", "in": "query", "schema": {"type": "string"}},
    ]


def _query_parameters() -> list[dict[str, Any]]:
    def parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "in": "query", "schema": schema}

    text = {"type": "string"}
    return [
        parameter("name", text),
        parameter("status", {"enum": [status.value for status in JobStatus]}),
        parameter("type", {"enum": ["simple", "cron_task"]}),
        parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        *(
            parameter(name, text)
            for name in ("after", "before", "tag", "lane", "group", "flow", "worker")
        ),
        parameter("label", _LABELS),
        *(parameter(name, text) for name in ("error", "payload", "id_end", "from", "to")),
    ]


def _schemas() -> dict[str, Any]:
    nullable = {"type": ["string", "null"]}
    return {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
            },
        },
        "Job": {
            "type": "object",
            "required": ["_id", "name", "type", "status"],
            "properties": {
                "_id": {"type": "string"},
                "name": {"type": "string"},
                "type": {"enum": ["simple", "cron_task"]},
                "status": {"enum": [status.value for status in JobStatus]},
                "labels": _LABELS,
            },
        },
        "Jobs": {
            "type": "object",
            "required": ["jobs", "next", "previous"],
            "properties": {
                "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
                "next": nullable,
                "previous": nullable,
            },
        },
        "Schedule": {
            "type": "object",
            "required": ["name", "job", "when", "rev", "paused", "next", "made"],
            "properties": {
                "name": {"type": "string"},
                "job": {"type": "string"},
                "when": {"type": "string"},
                "rev": {"type": "integer"},
                "paused": {"type": "boolean"},
                "next": nullable,
                "made": {"type": "integer"},
            },
        },
        "NewSchedule": {
            "type": "object",
            "required": ["job"],
            "additionalProperties": False,
            "properties": {
                "job": {"type": "string"},
                "payload": {"type": ["object", "null"]},
                "every": {"type": ["number", "null"]},
                "limit": {"type": ["integer", "null"], "minimum": 1},
                "misfire": {"enum": ["once", "skip", "all"]},
                "priority": {"type": "integer", "minimum": 0, "maximum": 9},
                "expires_after": {"type": ["number", "null"]},
                "limit_key": {"type": ["string", "number", "null"]},
                "labels": _LABELS,
                **dict.fromkeys(("cron", "timezone", "unique_key"), nullable),
                **dict.fromkeys(("anchor", "start", "end"), nullable),
            },
        },
        "New": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string"},
                "payload": {"type": ["object", "null"]},
                "scheduled_for": nullable,
                "priority": {"type": "integer", "minimum": 0, "maximum": 9},
                "labels": _LABELS,
            },
        },
    }
