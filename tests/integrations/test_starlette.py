"""Starlette and FastAPI: the processor lives with the application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from job_processor import JobDef, JobProcessor, JobStatus, NotSetUpError, WorkerStateError
from job_processor.integrations.starlette import get_processor, lifespan, running
from job_processor.parts import ready_parts_of
from tests.processors import QUICK, WAIT, Processors


async def greet(payload: dict[str, str]) -> str:
    """Greet."""
    return f"hello {payload['name']}"


@pytest.fixture
def processor(db_url: str) -> JobProcessor:
    """A processor that nobody has set up."""
    return JobProcessor(db_url, jobs={"greet": JobDef(greet)}, **QUICK)


async def endpoint(request: Request) -> JSONResponse:
    """Schedule, and wait for the end if a worker is there."""
    jobs = get_processor(request)
    assert request.state.job_processor is jobs
    job = await jobs.schedule_job("greet", {"name": "Ada"})
    if "wait" in request.query_params:
        job = await jobs.wait_for_job(job.id, timeout=WAIT)
    return JSONResponse({"id": str(job.id), "status": job.status})


def application(processor: JobProcessor, **options: Any) -> Starlette:
    """Return an application with one route."""
    return Starlette(routes=[Route("/", endpoint)], lifespan=lifespan(processor, **options))


def test_starlette_with_a_worker(processor: JobProcessor) -> None:
    """It is set up and works from the start to the end of the application, more than once."""
    app = application(processor)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/?wait").json()["status"] == "finished"
        with pytest.raises(NotSetUpError):
            ready_parts_of(processor)


def test_starlette_without_a_worker(processor: JobProcessor) -> None:
    """It only schedules."""
    with TestClient(application(processor, worker=False)) as client:
        assert client.get("/").json()["status"] == "pending"
        assert processor._worker is None


def test_fastapi(processor: JobProcessor) -> None:
    """The processor is a dependency, which a test may override."""
    app = FastAPI(lifespan=lifespan(processor))

    @app.get("/")
    async def read(jobs: Annotated[JobProcessor, Depends(get_processor)]) -> dict[str, str]:
        job = await jobs.run_job("greet", {"name": "Ada"})
        return {"told": job.result()}

    with TestClient(app) as client:
        assert client.get("/").json() == {"told": "hello Ada"}


def test_without_the_lifespan_it_says_what_to_do() -> None:
    """The error names the argument that is missing."""
    app = Starlette(routes=[Route("/", endpoint)])
    with TestClient(app) as client, pytest.raises(NotSetUpError, match="lifespan=lifespan"):
        client.get("/")


async def test_a_lifespan_of_ones_own(processors: Processors) -> None:
    """`running` is its part; a job that runs at the end gets its time."""
    processor = JobProcessor(processors.db_url, jobs={"greet": JobDef(greet)}, **QUICK)

    @asynccontextmanager
    async def own(app: Any) -> Any:
        async with running(processor) as jobs:
            yield {"jobs": jobs}

    async with own(None) as state:
        job = await state["jobs"].schedule_job("greet", {"name": "Ada"})
        assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED


async def test_a_worker_that_died_is_told_at_the_end(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it died of is raised, not swallowed, and the processor is closed all the same."""

    async def die(signal: object) -> None:
        raise WorkerStateError("the settler died")

    monkeypatch.setattr(processor, "run_worker", die)
    with pytest.raises(WorkerStateError, match="the settler died"):
        async with running(processor):
            pass
    with pytest.raises(NotSetUpError):
        await processor.get_healthcheck()


def test_in_a_mounted_application(processor: JobProcessor) -> None:
    """It is that of the outer application, whose lifespan is the only one that runs."""
    inner = FastAPI()

    @inner.get("/")
    async def read(jobs: Annotated[JobProcessor, Depends(get_processor)]) -> str:
        return str((await jobs.schedule_job("greet", {"name": "Ada"})).status)

    middle = Starlette(routes=[Route("/", endpoint)])
    app = FastAPI(lifespan=lifespan(processor, worker=False))
    app.mount("/v1", inner)
    app.mount("/v2", middle)
    middle.mount("/deeper", inner)
    with TestClient(app) as client:
        assert client.get("/v1/").json() == "pending"
        assert client.get("/v2/").json()["status"] == "pending"
        assert client.get("/v2/deeper/").json() == "pending"
    other = FastAPI()
    other.mount("/v1", inner)
    with TestClient(other) as client, pytest.raises(NotSetUpError):
        client.get("/v1/")
