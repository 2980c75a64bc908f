"""The move with the real Node package: refused, made, worked with, and gone back on."""

from __future__ import annotations

import pytest

from job_processor import CronDef, JobDef, JobProcessor, JobStatus, MigrationError, Retry
from job_processor.models import cron_id
from tests.acceptance.node.both import Both
from tests.definitions import nothing
from tests.processors import WAIT

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

NIGHTLY = {"nightly": {"cron_string": "0 3 * * *", "does": "nothing"}}
JOBS = {"mail": {"does": "nothing"}}


async def fails_once(job: object) -> str:
    """Fail at the first attempt."""
    if getattr(job, "attempt", 1) == 1:
        raise ValueError("not yet")
    return "at last"


async def test_it_refuses_beside_a_node_worker_without_tags(both: Both) -> None:
    """As Node workers are unless they are told; with tags the same database is fine."""
    processor = await both.python(work=False)
    untagged = await both.node(tags=None, jobs=JOBS)
    await both.until("workers", tags=None, timeout_s=None)
    with pytest.raises(MigrationError, match="workerTags"):
        await processor.migrate_from_node(apply=True)
    await untagged.do("stop")
    await both.node(jobs=JOBS)
    await both.until("workers", tags=["node"])
    report = await processor.migrate_from_node()
    assert report.problems == ()
    assert "living Node workers" in " ".join(report.left)


async def test_a_database_of_node_moves_over_and_back(both: Both) -> None:
    """Its jobs and its cron go on in Python with all our features; then Node starts again."""
    node = await both.node(jobs=JOBS, crons=NIGHTLY)
    (task,) = await both.until("jobs", name="nightly", type="cron_task")
    await node.do("stop")
    await node.do("add", name="mail", payload={"to": "ada"})
    waiting = await both.only("mail")
    await node.close()

    mover = JobProcessor(both.db_url)
    report = await mover.migrate_from_node(apply=True)
    await mover.close()
    assert report.survey.validator == "ours"

    jobs = {"mail": JobDef(nothing), "new": JobDef(fails_once, retry=Retry(delay=0))}
    crons = {"nightly": CronDef("0 3 * * *", nothing, timezone="Europe/Paris")}
    processor = await both.python(jobs=jobs, crons=crons)
    assert (await both.ended(waiting["_id"]))["status"] == "finished"
    retried = await processor.schedule_job("new", priority=5)
    settled = await processor.wait_for_job(retried.id, timeout=WAIT)
    assert (settled.status, settled.attempt) == (JobStatus.FINISHED, 2)
    (ours,) = await both.until(
        "jobs", name="nightly", type="cron_task", scheduled_for=task["scheduled_for"]
    )
    assert ours["_id"] != task["_id"]

    again = await both.node(jobs=JOBS, crons=NIGHTLY)
    await again.do("add", name="mail", payload={})
    assert (await both.only_cron("nightly"))["_id"] == cron_id("nightly")
    assert len((await again.do("status"))["crons"]) == 1
