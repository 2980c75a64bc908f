"""`jobs`, and what is done to one of them by its id."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from job_processor.cli import tables
from job_processor.cli.output import console, plain, print_json
from job_processor.cli.reading import read_number, read_text
from job_processor.cli.watching import ask
from job_processor.models import Job, JobStatus
from job_processor.monitoring import job_json
from job_processor.processor import JobProcessor
from job_processor.queries import JobPage


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs to list, as typed; the facade checks the most of it."""

    name: str | None
    status: str | None
    type: Any
    limit: str
    after: str | None


def list_jobs(db: str | None, prefix: str, query: Query, *, as_json: bool) -> None:
    """Print a page of jobs and how to get the next."""
    arguments = {**asdict(query), "limit": read_number("--limit", query.limit)}
    if query.name is not None:
        read_text("--name", query.name)

    async def find(processor: JobProcessor) -> tuple[str, JobPage]:
        return processor.address, await processor.find_jobs(**arguments)

    address, page = ask(db, prefix, find)
    jobs = [job_json(job) for job in page.jobs]
    if as_json:
        print_json({"jobs": jobs, "next": page.next})
        return
    out = console()
    if jobs:
        out.print(tables.jobs_table(jobs, datetime.now(UTC)))
    else:
        out.print(Text(f"There are no such jobs in {address}."))
    if page.next:
        out.print(Text(f"\nThere are more: --after {page.next}", style="dim"))


def kill(db: str | None, prefix: str, job_id: str, *, as_json: bool) -> None:
    """Kill a job and print how it then stands."""

    async def end(processor: JobProcessor) -> tuple[Job, Job]:
        before = await processor.get_job(job_id)
        after = await processor.kill_job(job_id)
        return before or after, after

    before, after = ask(db, prefix, end)
    if as_json:
        print_json(job_json(after))
    else:
        console().print(Text(_tell_kill(before, after)))


def retry(db: str | None, prefix: str, job_id: str, *, as_json: bool) -> None:
    """Send a settled job round again and print how it then stands."""

    async def again(processor: JobProcessor) -> Job:
        return await processor.retry_job(job_id)

    job = ask(db, prefix, again)
    if as_json:
        print_json(job_json(job))
    else:
        console().print(Text(f"Job {plain(job.name)!r} ({job.id}) waits to be run again."))


def _tell_kill(before: Job, job: Job) -> str:
    who = f"job {plain(job.name)!r} ({job.id})"
    if before.settled:
        return f"Nothing to do: {who} was {before.status} already."
    if job.status is JobStatus.KILLED:
        return f"Killed {who}."
    if job.settled:
        return f"Too late: {who} has ended meanwhile and is {job.status}."
    return f"Asked worker {job.worker_id} to stop {who}."
