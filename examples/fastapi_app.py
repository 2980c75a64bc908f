"""A FastAPI application that schedules jobs and runs them in a worker of its own.

    pip install 'job-processor[starlette,web]' fastapi uvicorn
    # with uv: uv add 'job-processor[starlette,web]' fastapi uvicorn
    uvicorn fastapi_app:app --timeout-graceful-shutdown 2

    curl localhost:8000/reports --json '{"customer": "Ada", "orders": [12, 30]}'
    curl localhost:8000/reports/<id>

With DASHBOARD_TOKEN, of at least 16 characters, the dashboard is at localhost:8000/queue/; give the
token as the password of any user. With WORKER=0 the application only schedules, and
`job-processor worker fastapi_app:processor` runs. Ctrl-C stops it: requests end first (an open
dashboard never does, hence the option), then the worker, as gracefully as from the command line.

Each process that runs jobs opens its archive once, before the first of them, and closes it after
the last: so it would an HTTP client, or a pool of connections.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO

from fastapi import Depends, FastAPI, HTTPException, status
from pydantic import BaseModel

from job_processor import InvalidArgumentError, JobProcessor
from job_processor.integrations.starlette import get_processor, lifespan
from job_processor.web import Login, create_app

TOKEN = os.environ.get("DASHBOARD_TOKEN")
WORKER = os.environ.get("WORKER") != "0"


@dataclass
class Resources:
    archive: TextIO


@contextmanager
def opened(processor: JobProcessor) -> Iterator[Resources]:
    with Path("reports.jsonl").open("a") as archive:
        yield Resources(archive)


processor = JobProcessor("sqlite:///fastapi_app.db", shutdown_grace=5, lifespan=opened)


class Report(BaseModel):
    customer: str
    orders: list[int]


@processor.job
async def make_report(resources: Resources, report: Report) -> dict:
    made = {"customer": report.customer, "total": sum(report.orders)}
    print(json.dumps(made), file=resources.archive, flush=True)
    return made


app = FastAPI(title="Reports", lifespan=lifespan(processor, worker=WORKER))
Jobs = Annotated[JobProcessor, Depends(get_processor)]

if TOKEN:  # without one there is no dashboard: it shows what the jobs hold
    app.mount("/queue", create_app(processor, access=Login(TOKEN, access="read_only")))


@app.post("/reports", status_code=status.HTTP_202_ACCEPTED)
async def order_report(report: Report) -> dict:
    job = await make_report.schedule(report=report)
    return {"id": str(job.id), "status": job.status}


@app.get("/reports/{job_id}")
async def read_report(job_id: str, jobs: Jobs, wait: float = 0) -> dict:
    """Return the report as it stands; `wait` seconds for its end first."""
    try:
        job = await jobs.get_job(job_id)
        if job is not None and wait:
            job = await jobs.wait_for_job(job_id, timeout=min(wait, 30))
    except InvalidArgumentError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from error
    except TimeoutError:
        pass  # it is answered as it stands
    if job is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such report")
    return {
        "id": job_id,
        "status": job.status,
        "report": job.output.result if job.output else None,
        "error": job.output.error if job.output else None,
    }


@app.get("/health")
async def health(jobs: Jobs) -> dict:
    return await jobs.get_healthcheck()


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, timeout_graceful_shutdown=2)
