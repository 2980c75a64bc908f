"""`kill`: one job, whether it waits or runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.options import AppOption, Db, JobId, Json, Prefix
from job_processor.cli.app.output import plain, print_json, say
from job_processor.cli.app.reading import read_id

if TYPE_CHECKING:
    from job_processor.models import Job
    from job_processor.processor import JobProcessor


def kill(
    id: JobId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Kill (cancel) the job ID, whether it waits or runs.

    A waiting job is killed at once; a running one is asked to stop, and stopped by force after
    `kill_grace` seconds.
    """
    from job_processor.as_json import job_json

    async def end(processor: JobProcessor) -> tuple[Job, Job]:
        before = await processor.get_job(id)
        async with audited(processor, "kill", id):
            after = await processor.kill_job(id)
        return before or after, after

    read_id("ID", id)
    before, after = ask(Place(db, prefix, app), end)
    if json:
        print_json(job_json(after))
    else:
        say(_told(before, after))


def _told(before: Job, job: Job) -> str:
    who = f"job {plain(job.name)!r} ({job.id})"
    if before.settled:
        return f"Nothing to do: {who} was {before.status} already."
    if job.status == "killed":
        return f"Killed {who}."
    if job.settled:
        return f"Too late: {who} has ended meanwhile and is {job.status}."
    return f"Asked worker {job.worker_id} to stop {who}."
