"""The dashboard as an ASGI application: by itself, or mounted in another one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from job_processor.errors import InvalidArgumentError, JobProcessorError
from job_processor.ops.keys import shared_key
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.redaction import Redaction
from job_processor.web import (
    actions,
    api,
    columns,
    crons,
    flows,
    job_list,
    job_page,
    limiting,
    limiting_api,
    names,
    names_api,
    new_job,
    openapi,
    overview,
    pages,
    schedule_page,
    schedules,
    scraping,
)
from job_processor.web.access import Check, Login, check_token
from job_processor.web.guard import PROBES, Guard
from job_processor.web.health import Health, Healthz
from job_processor.web.hosts import Hosts
from job_processor.web.leaving import LeftError, until_left
from job_processor.web.live import Hub
from job_processor.web.looks import Color, look_of
from job_processor.web.places import path_of, root_of
from job_processor.web.problems import RETRY_AFTER, problem, status_of
from job_processor.web.seal import Seal
from job_processor.web.shared_call import SharedCall
from job_processor.web.views import Views

_STATIC = Path(__file__).with_name("static")


def create_app(
    processor: JobProcessor,
    access: Check | None = None,
    *,
    redact: str | re.Pattern[str] | None = None,
    healthz: Healthz = "public",
    allowed_hosts: Iterable[str] | None = None,
    scrape_token: str | None = None,
    name: str | None = None,
    color: Color | None = None,
) -> Starlette:
    """Return the dashboard of a processor as an ASGI application.

    access: async or sync function that is called with each request and returns `"all"`,
        `"read_only"` or `"forbidden"`, for instance a `Login`. None: everybody may do everything;
        use this only where nobody else can reach the page. The first request from another machine
        gives an OpenDashboardWarning.
    redact: regular expression; values of payload and result fields with a matching name are hidden.
        None: names of passwords, tokens and other secrets.
    healthz: `"public"`: `/healthz` answers everybody; `"access"`: only requests that `access` lets
        in.
    allowed_hosts: host names that are served, such as `dash.example.org`, `.example.org` (with all
        subdomains) or `*`; None: any. Probes are answered for any name.
    scrape_token: a request with `Authorization: Bearer` and this token may read `/metrics` and
        `/scaling`, and nothing else; at least 16 characters. None: only requests that `access` lets
        in.
    name: name of the environment, such as `production`, for header and title.
    color: color of its badge and of a stripe above each page: `red`, `orange`, `green`, `blue`,
        `violet` or `grey`. None: red if the name starts with `prod` or `live`, orange for `stag`,
        otherwise blue.

    ```python
    app.mount("/jobs", create_app(processor, access=Login(token=token)))
    ```

    A processor that is not set up is set up with the first request. Raises InvalidArgumentError.
    """
    if not isinstance(processor, JobProcessor):
        raise InvalidArgumentError("processor", processor, "allowed is a JobProcessor")
    if access is not None and not callable(access):
        raise InvalidArgumentError("access", access, "allowed is a function of a request, or None")
    if healthz not in get_args(Healthz):
        raise InvalidArgumentError("healthz", healthz, "allowed are 'public' and 'access'")
    hosts = None if allowed_hosts is None else Hosts(allowed_hosts)
    scraper = None
    if scrape_token is not None:
        scraper = Login(check_token("scrape_token", scrape_token), access="read_only")
    look = look_of(name, color)
    guard = Middleware(Guard, check=access, hosts=hosts, healthz=healthz, scraper=scraper)
    app = Starlette(
        routes=_routes(),
        middleware=[guard],
        exception_handlers={HTTPException: _on_http_error, JobProcessorError: _on_error},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False  # it would lead to whatever host the request names
    app.state.processor = processor
    app.state.access = access
    app.state.seal = None
    app.state.set_up = SharedCall(processor.setup)
    app.state.get_seal = SharedCall(partial(_get_seal, app.state))
    app.state.health = Health(partial(_count_alive, app.state))
    app.state.hub = Hub(processor)
    app.state.redaction = Redaction(redact)
    app.state.redact = app.state.redaction.shown
    app.state.views = Views(look)
    return app


def _routes() -> list[Route | Mount]:
    return [
        Route("/", _page(overview.page), name="overview"),
        Route("/jobs", _page(job_list.page), name="jobs"),
        Route("/jobs/{id}", _page(job_page.page), name="job"),
        Route("/columns", _page(columns.choose), methods=["POST"], name="columns"),
        Route("/flows", _page(flows.newest), name="flows"),
        Route("/flows/{id}", _page(flows.page), name="flow"),
        Route("/groups", _page(pages.groups), name="groups"),
        Route("/groups/{id}", _page(pages.group), name="group"),
        Route("/crons", _page(crons.listed), name="crons"),
        Route("/cron", _page(names.one), name="cron"),
        Route("/names", _page(names.listed), name="names"),
        Route("/name", _page(names.one), name="name"),
        Route("/tag", _page(names.tag), name="tag"),
        Route("/limit", _page(names.limit), name="limit"),
        Route("/schedules", _page(schedules.page), name="schedules"),
        Route("/schedule", _page(schedule_page.page), name="schedule"),
        Route("/limits", _page(limiting.limits), name="limits"),
        Route("/lane", _page(limiting.lane), name="lane"),
        Route("/workers", _page(pages.workers), name="workers"),
        Route("/audit", _page(pages.audit), name="audit"),
        Route("/new", _page(new_job.page), methods=["GET"], name="new"),
        Route("/new", _page(new_job.create), methods=["POST"]),
        Route("/act", _page(actions.act), methods=["POST"], name="act"),
        Route("/language", _page(actions.language), methods=["POST"], name="language"),
        Route("/theme", _page(actions.theme), methods=["POST"], name="theme"),
        Route("/live", _page(pages.live), name="live"),
        Route("/healthz", api.healthz),
        Route("/scaling", _page(scraping.scaling)),
        Route("/metrics", _page(scraping.metrics)),
        Route("/api/openapi.json", openapi.document),
        Route("/api/status", _page(api.status)),
        Route("/api/processor-status", _page(api.status)),
        Route("/api/jobs", _page(api.jobs), methods=["GET"]),
        Route("/api/jobs", _page(api.create), methods=["POST"]),
        Route("/api/jobs/{id}", _page(api.job), methods=["GET"]),
        Route("/api/jobs/{id}", _page(api.delete), methods=["DELETE"]),
        Route("/api/jobs/{id}/kill", _page(api.kill), methods=["POST"]),
        Route("/api/jobs/{id}/retry", _page(api.retry), methods=["POST"]),
        Route("/api/names", _page(job_list.names)),
        Route("/api/flows", _page(flows.many)),
        Route("/api/flows/{id}", _page(flows.one)),
        Route("/api/flows/{id}/kill", _page(flows.kill), methods=["POST"]),
        Route("/api/flows/{id}/retry", _page(flows.retry), methods=["POST"]),
        Route("/api/groups", _page(api.groups)),
        Route("/api/groups/{id}", _page(api.group)),
        Route("/api/groups/{id}/kill", _page(api.kill_group), methods=["POST"]),
        Route("/api/groups/{id}/retry", _page(api.retry_group), methods=["POST"]),
        Route("/api/crons", _page(api.crons)),
        Route("/api/crons/{name:path}/run", _page(names_api.run_cron), methods=["POST"]),
        Route("/api/figures", _page(names_api.listed)),
        Route("/api/name", _page(names_api.one)),
        Route("/api/pauses", _page(names_api.pauses), methods=["GET"]),
        Route("/api/pauses", _page(names_api.pause), methods=["POST"]),
        Route("/api/workers", _page(api.workers)),
        Route("/api/schedules", _page(schedules.listed)),
        Route("/api/schedules/{name:path}/pause", _page(schedules.pause), methods=["POST"]),
        Route("/api/schedules/{name:path}/resume", _page(schedules.resume), methods=["POST"]),
        Route("/api/schedules/{name:path}", _page(schedules.one), methods=["GET"]),
        Route("/api/schedules/{name:path}", _page(schedules.put), methods=["PUT"]),
        Route("/api/schedules/{name:path}", _page(schedules.remove), methods=["DELETE"]),
        Route("/api/limits", _page(limiting_api.limits), methods=["GET"]),
        Route("/api/limits", _page(limiting_api.set_limit), methods=["POST"]),
        Route("/api/lane", _page(limiting_api.lane)),
        Route("/api/rates", _page(limiting_api.rates), methods=["GET"]),
        Route("/api/rates", _page(limiting_api.set_rate), methods=["POST"]),
        Route("/api/rates/hold", _page(limiting_api.hold), methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC), name="static"),
    ]


def _page(handler: Callable[..., Any]) -> Callable[[Request], Any]:
    """Return a handler that finds the processor set up; a store that is away is an answer, too.

    What only reads is given up with who asked for it.
    """

    async def make(request: Request) -> Response:
        state = request.app.state
        await state.set_up()
        if state.seal is None:
            await state.get_seal()
        response: Response = await handler(request)
        return response

    async def answer(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return await make(request)
        try:
            return await until_left(request, make(request))
        except LeftError:
            return Response(status_code=_LEFT)

    return answer


async def _get_seal(state: State) -> None:
    state.seal = Seal(await shared_key(ready_parts_of(state.processor), "web"))


_LEFT = 499  # nobody reads it; what nginx notes of who has left


async def _count_alive(state: State) -> int:
    await state.set_up()
    alive: int = await state.processor.count_alive()
    return alive


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Close what the first request has set up, where the dashboard runs by itself."""
    try:
        yield
    finally:
        await app.state.processor.close()


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, JobProcessorError)  # noqa: S101  # what it is registered for
    status = status_of(error)
    headers = {"retry-after": RETRY_AFTER} if status == 429 else None
    if _is_api(request):
        return problem(status, str(error), headers)
    page = await pages.error_page(request, status, str(error), error)
    page.headers.update(headers or {})
    return page


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
    if error.status_code == 404 and not path_of(request.scope):  # mounted, and its slash left out
        return RedirectResponse(f"{root_of(request)}/")
    if _is_api(request):
        return problem(error.status_code, error.detail, error.headers)
    page = await pages.error_page(request, error.status_code, error.detail, error)
    page.headers.update(error.headers or {})
    return page


def _is_api(request: Request) -> bool:
    path = path_of(request.scope)
    return path in PROBES or path.startswith("/api/")
