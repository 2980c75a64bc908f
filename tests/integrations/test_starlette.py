"""Starlette and FastAPI: the processor lives with the application."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from job_processor import (
    JobDef,
    JobProcessor,
    JobStatus,
    LifespanError,
    NotSetUpError,
    WorkerStateError,
)
from job_processor.integrations.starlette import (
    get_processor,
    get_resources,
    lifespan,
    running,
)
from job_processor.parts import parts_of, ready_parts_of
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


@asynccontextmanager
async def opened(processor: JobProcessor) -> Any:
    """Open what requests and jobs share."""
    yield [processor.address]


async def test_the_state_of_the_host_is_what_handlers_get(db_url: str) -> None:
    """Given by its own lifespan, no other one is entered; then the processor has its own back."""

    @asynccontextmanager
    async def never(processor: JobProcessor) -> Any:
        assert not processor.address, "it is entered"
        yield

    processor = JobProcessor(db_url, lifespan=never, **QUICK)

    @processor.job
    async def total(resources: State) -> int:
        return sum(resources.orders)

    state = State({"orders": [12, 30]})
    async with running(processor, resources=state):
        assert (await total.wait(await total.schedule(), timeout=WAIT)).result() == 42
    async with running(processor, worker=False, resources=state):
        assert (await total.run()).result() == 42
    assert parts_of(processor).lifespan is never


def test_requests_and_jobs_share_what_it_opens(db_url: str) -> None:
    """It is entered before the first request, and left after the last job."""
    log: list[str] = []

    @asynccontextmanager
    async def logged(processor: JobProcessor) -> Any:
        log.append("enter")
        async with opened(processor) as resources:
            yield resources
        log.append("leave")

    processor = JobProcessor(db_url, lifespan=logged, **QUICK)

    @processor.job
    async def add(resources: list[str] | Any) -> None:
        resources.append("by a job")

    app = FastAPI(lifespan=lifespan(processor))

    @app.get("/")
    async def read(shared: Annotated[Any, Depends(get_resources)]) -> list[str]:
        before = list(shared)
        await add.wait(await add.schedule(), timeout=WAIT)
        return [*before, *shared[1:]]

    with TestClient(app) as client:
        assert log == ["enter"]
        assert client.get("/").json() == [processor.address, "by a job"]
    assert log == ["enter", "leave"]


def test_without_a_worker_there_are_none(db_url: str) -> None:
    """An application that only schedules does not enter it; who asks is told why."""
    processor = JobProcessor(db_url, lifespan=opened, **QUICK)

    async def read(request: Request) -> JSONResponse:
        return JSONResponse(get_resources(request))

    app = Starlette(routes=[Route("/", read)], lifespan=lifespan(processor, worker=False))
    with TestClient(app) as client, pytest.raises(NotSetUpError, match=r"lifespan=.*worker=True"):
        client.get("/")


def test_an_application_whose_lifespan_fails_does_not_start(db_url: str) -> None:
    """As with any lifespan: the server says so, and serves nothing."""

    @asynccontextmanager
    async def fails(processor: JobProcessor) -> Any:
        if processor.address:
            raise ConnectionError("no pool")
        yield

    processor = JobProcessor(db_url, lifespan=fails, **QUICK)
    with pytest.raises(LifespanError, match="no pool"), TestClient(application(processor)):
        pass
    with pytest.raises(LifespanError, match="no pool"):
        asyncio.run(_begin(processor))
    with pytest.raises(NotSetUpError):
        ready_parts_of(processor)


async def _begin(processor: JobProcessor) -> None:
    async with running(processor):
        raise AssertionError("it has begun")


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
