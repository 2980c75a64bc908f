"""A FastAPI application that schedules jobs and runs them in a worker of its own.

    pip install job-processor fastapi uvicorn
    uvicorn fastapi_app:app

    curl localhost:8000/reports --json '{"customer": "Ada", "orders": [12, 30]}'
    curl localhost:8000/reports/<id>

Ctrl-C stops it: requests end first, then the worker, as gracefully as from the command line.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, status
from pydantic import BaseModel

from job_processor import AbortController, InvalidArgumentError, JobProcessor

processor = JobProcessor("sqlite:///fastapi_app.db", shutdown_grace=5)


class Report(BaseModel):
    customer: str
    orders: list[int]


@processor.job("report")
async def make_report(payload: dict) -> dict:
    report = Report(**payload)
    return {"customer": report.customer, "total": sum(report.orders)}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    stop = AbortController()
    async with processor:
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        try:
            yield
        finally:
            stop.abort("the application stops")
            await worker


app = FastAPI(title="Reports", lifespan=lifespan)


@app.post("/reports", status_code=status.HTTP_202_ACCEPTED)
async def order_report(report: Report) -> dict:
    job = await processor.schedule_job("report", report.model_dump())
    return {"id": str(job.id), "status": job.status}


@app.get("/reports/{job_id}")
async def read_report(job_id: str, wait: float = 0) -> dict:
    """Return the report as it stands; `wait` seconds for its end first."""
    try:
        job = await processor.get_job(job_id)
        if job is not None and wait:
            job = await processor.wait_for_job(job_id, timeout=min(wait, 30))
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
async def health() -> dict:
    return await processor.get_healthcheck()


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
