"""What a run promises (claims, shutdown, kill, max runtime, hooks), on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from job_processor import (
    Event,
    EventKind,
    JobDef,
    JobStatus,
    SimpleJob,
    StoreUnavailableError,
)
from job_processor.store.requests import Settlement, Verdict
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import Probe, ended, in_state


async def test_a_worker_claims_only_as_many_as_it_has_slots(
    processors: Processors, probe: Probe
) -> None:
    """Never more than `concurrency` run at once, and the others wait for a slot."""
    jobs = {"held": JobDef(probe.held)}
    processor, _ = await processors.start(jobs=jobs, concurrency=3)
    made = await processor.schedule_jobs(("held",) for _ in range(8))

    async def full() -> bool:
        return probe.running == 3

    await eventually(full)
    assert len((await processor.find_jobs(status="running")).jobs) == 3
    probe.release.set()
    for job in made:
        assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert probe.most == 3


async def test_tags_decide_who_runs_what(processors: Processors) -> None:
    """A worker with tags takes untagged jobs and its own; a worker without takes all."""
    ran: list[tuple[str, str]] = []

    def jobs(worker: str) -> dict[str, JobDef]:
        async def handler(job: SimpleJob) -> None:
            ran.append((worker, job.name))

        return {
            "plain": JobDef(handler),
            "main": JobDef(handler, tag="main"),
            "slave": JobDef(handler, tag="slave"),
        }

    main = await processors.make(jobs=jobs("m"), worker_tags=["main"])
    everything = await processors.make(jobs=jobs("e"))
    await main.schedule_jobs([("plain",), ("main",), ("slave",)])
    await main.run_worker(burst=True)
    assert sorted(ran) == [("m", "main"), ("m", "plain")]
    await everything.run_worker(burst=True)
    assert ("e", "slave") in ran
    assert len(ran) == 3


async def test_more_names_than_one_claim_takes_are_all_served(processors: Processors) -> None:
    """Names are asked for in groups, in rotation: none is left out."""
    ran: set[str] = set()

    async def handler(job: SimpleJob) -> None:
        ran.add(job.name)

    names = [f"job {number}" for number in range(60)]
    processor = await processors.make(jobs={name: JobDef(handler) for name in names})
    await processor.schedule_jobs((name,) for name in names)
    await processor.run_worker(burst=True)
    assert ran == set(names)


async def test_exclusive_jobs_never_run_together(processors: Processors, probe: Probe) -> None:
    """While one is pending or running a new one is skipped; afterwards a new one runs."""
    jobs = {"only": JobDef(probe.held, exclusive=True)}
    processor, _ = await processors.start(jobs=jobs)
    first = await processor.schedule_job("only")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    second = await processor.schedule_job("only")
    assert second.status is JobStatus.SKIPPED
    probe.release.set()
    assert (await ended(processor, first)).status is JobStatus.FINISHED
    third = await processor.schedule_job("only")
    assert (await ended(processor, third)).status is JobStatus.FINISHED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_handler_raises_errors_only_its_job(
    processors: Processors, error: BaseException
) -> None:
    """SystemExit, KeyboardInterrupt or a stray CancelledError do not take the worker down."""

    async def rude() -> None:
        raise error

    def rude_thread() -> None:
        raise error

    async def fine() -> str:
        return "fine"

    processor = await processors.make(
        jobs={"rude": JobDef(rude), "thread": JobDef(rude_thread), "fine": JobDef(fine)}
    )
    rude_job, thread_job, fine_job = await processor.schedule_jobs(["rude", "thread", "fine"])
    await processor.run_worker(burst=True)
    for job in (rude_job, thread_job):
        assert (await in_state(processor, job, "errored")).output is not None
    await in_state(processor, fine_job, "finished")


async def test_a_broken_listener_harms_nothing(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is logged; the others hear of everything, and the job ends."""
    heard: list[Event] = []

    async def handler() -> None: ...

    def broken(event: Event) -> None:
        raise RuntimeError("a broken listener")

    processor = await processors.make(jobs={"a": JobDef(handler)})
    processor.listen(broken)
    processor.listen(heard.append)
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    assert EventKind.FINISHED in [event.kind for event in heard]
    assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED
    assert "a listener failed on the event 'finished'" in caplog.text


async def test_a_job_for_an_idle_worker_starts_soon(processors: Processors) -> None:
    """A worker is woken by a new job, and sleeps no longer than until the next due one."""

    async def handler() -> None: ...

    jobs = {"a": JobDef(handler)}
    processor, _ = await processors.start(jobs=jobs, poll_interval=3600)
    await ended(processor, await processor.schedule_job("a"))
    job = await processor.schedule_job("a", None, timedelta(milliseconds=300))
    done = await ended(processor, job)
    assert done.status is JobStatus.FINISHED


async def test_a_repeated_settlement_spares_the_next_run(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is retried while its worker still repeats the settlement of its last run."""
    begun, release = [0], asyncio.Event()
    written, answers, confirmed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun[0] += 1
        if begun[0] > 1:
            await release.wait()

    processor, _ = await processors.start(jobs={"work": JobDef(work)})
    settle = store_of(processor).runs.settle

    async def losing(settlements: Sequence[Settlement]) -> Verdict:
        verdict = await settle(settlements)
        written.set()
        if not answers.is_set():
            raise StoreUnavailableError("the reply was lost")
        confirmed.set()
        return verdict

    monkeypatch.setattr(store_of(processor).runs, "settle", losing)
    job = await processor.schedule_job("work")
    await written.wait()
    await processor.retry_job(job.id)
    answers.set()
    await confirmed.wait()

    async def runs_again() -> bool:
        return begun[0] == 2

    await eventually(runs_again)
    running = await processor.get_job(job.id)
    assert running is not None
    assert running.status is JobStatus.RUNNING
    release.set()
    assert (await processor.wait_for_job(job.id, WAIT)).status is JobStatus.FINISHED
