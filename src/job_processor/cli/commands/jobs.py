"""`jobs`, and what is done to one of them by its id."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.asking import ask
from job_processor.cli.app.output import console, plain, print_json
from job_processor.cli.app.reading import read_number
from job_processor.cli.app.selection import Selection
from job_processor.cli.views import tables
from job_processor.jobs.pages import JobPage
from job_processor.models import Job, JobStatus
from job_processor.processor import JobProcessor
from job_processor.store.summaries import SummaryPage

_PAGE_BYTES = 8 * 1024 * 1024  # of the jobs of one page, in the database


def list_jobs(
    db: str | None,
    prefix: str,
    selection: Selection,
    limit: str,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    """Print a page of jobs and how to get the next."""
    arguments = selection.arguments()
    most = read_number("--limit", limit)

    async def find(processor: JobProcessor) -> tuple[str, JobPage | SummaryPage]:
        page: JobPage | SummaryPage
        if as_json:
            page = await processor.find_jobs(
                limit=most, after=after, max_bytes=_PAGE_BYTES, **arguments
            )
        else:
            page = await processor.list_jobs(limit=most, after=after, **arguments)
        return processor.address, page

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


def delete(db: str | None, prefix: str, job_id: str, *, as_json: bool) -> None:
    """Remove a job that does not run."""
    ask(db, prefix, lambda processor: processor.delete_job(job_id))
    if as_json:
        print_json({"deleted": job_id})
    else:
        console().print(Text(f"Deleted job {plain(job_id)}."))


def _tell_kill(before: Job, job: Job) -> str:
    who = f"job {plain(job.name)!r} ({job.id})"
    if before.settled:
        return f"Nothing to do: {who} was {before.status} already."
    if job.status is JobStatus.KILLED:
        return f"Killed {who}."
    if job.settled:
        return f"Too late: {who} has ended meanwhile and is {job.status}."
    return f"Asked worker {job.worker_id} to stop {who}."
