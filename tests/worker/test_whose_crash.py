"""Whose worker died: a job names the dead one, and beside it the one that took care of it."""

from __future__ import annotations

import logging
import os
import socket

import pytest
from bson import ObjectId

from job_processor import JobDef, Retry
from job_processor.as_json import job_json
from job_processor.cli.views import tables
from job_processor.worker.rescuer import Rescuer
from tests.insides import engine_of, store_of
from tests.processors import Processors, eventually
from tests.samples import worker
from tests.worker.deaths import claim_as, die_holding
from tests.worker.probe import Probe, ended, in_state

HERE = f"{socket.gethostname()}:{os.getpid()}"
DEAD = "dead:2877"


async def test_the_dead_worker_is_named_and_not_the_rescuer_for_it(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """In the job's fields, in its attempts, in the log, in lists: by host and process."""
    jobs = {"plain": JobDef(probe.held), "retried": JobDef(probe.held, retry=Retry(delay=3600))}
    processor = await processors.make(jobs=jobs)
    made = await processor.schedule_jobs(list(jobs))
    claimed = await die_holding(processor, list(jobs), pid=2877)
    await processors.worker(processor)
    plain = await ended(processor, made[0])
    retried = await in_state(processor, made[1], "pending")
    for job in (plain, retried):
        assert job.crash is not None
        assert (job.crash.worker_id, job.crash.worker) == (claimed[0].worker_id, DEAD)
        assert (job.crash.rescuer_id, job.crash.rescuer) == (engine_of(processor).worker_id, HERE)
    assert plain.crash is not None
    assert plain.crash.at == plain.ended_at
    assert [each.worker for each in retried.attempts] == [DEAD]
    page = await processor.list_jobs(name="plain")
    listed = job_json(page.jobs[0])
    assert listed["crash"] == job_json(plain)["crash"]
    assert tables.detail(listed).plain == f"Worker crashed unexpectedly ({DEAD})"
    told = f"Worker crashed unexpectedly on {DEAD}, rescued by {HERE})"

    async def are_told() -> bool:
        return all(f"{name} failed" in caplog.text for name in jobs)

    await eventually(are_told)
    (failed,) = [each for each in caplog.records if each.getMessage().startswith("plain failed")]
    (again,) = [each for each in caplog.records if each.getMessage().startswith("retried failed")]
    assert failed.getMessage().startswith(f"plain failed ({told} after ")
    assert again.getMessage().startswith(f"retried failed (attempt 1 of 3: {told}, next in ")
    assert (failed.levelno, again.levelno) == (logging.ERROR, logging.WARNING)
    assert vars(failed)["crashed_worker"] == vars(again)["crashed_worker"] == DEAD
    assert vars(failed)["rescuer"] == HERE
    assert f"rescued job 'plain' ({plain.id}) of the crashed worker {DEAD}: errored" in caplog.text


async def test_a_later_end_is_no_crash(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes on elsewhere keeps who died before, and its end is of whoever ran it."""
    caplog.set_level(logging.INFO, "job_processor")
    probe.release.set()
    processor = await processors.make(jobs={"a": JobDef(probe.held, resumable=True)})
    job = await processor.schedule_job("a")
    await die_holding(processor, ["a"], pid=2877)
    await processors.worker(processor)
    finished = await ended(processor, job)
    assert finished.crash is not None
    assert finished.crash.worker == DEAD
    assert finished.ended_at is not None
    assert finished.crash.at <= finished.ended_at
    assert finished.worker_id == engine_of(processor).worker_id
    assert "Worker crashed" not in tables.detail(job_json(finished)).plain


async def test_who_was_seen_before_its_registration_went_is_named(
    processors: Processors, probe: Probe
) -> None:
    """A rescuer remembers where it saw a worker; one that nobody has seen has only its id."""
    processor = await processors.make(jobs={"a": JobDef(probe.held)})
    seen, unseen = worker(hostname="seen", pid=7), ObjectId()
    await processor.schedule_jobs(["a", "a"])
    workers = store_of(processor).workers
    await workers.register(seen)
    claimed = [*await claim_as(processor, seen.id, "a"), *await claim_as(processor, unseen, "a")]
    async with engine_of(processor) as engine:
        rescuer = Rescuer(engine)
        await rescuer.look()
        await workers.unregister(seen.id)
        look = await rescuer.look()
        await rescuer.bury(look, {seen.id, unseen})
    first, second = [await ended(processor, job) for job in claimed]
    assert first.crash is not None
    assert second.crash is not None
    assert first.crash.worker == "seen:7"
    assert (second.crash.worker, second.crash.worker_id) == (None, unseen)


def test_a_node_worker_tells_its_host_alone() -> None:
    """It has no process id in its registration."""
    assert worker(hostname="node-1").place == "node-1"
    assert worker(hostname="py-1", pid=3).place == "py-1:3"
