"""What a run promises (claims, shutdown, kill, max runtime, hooks), on both stores."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor import (
    AbortSignal,
    Event,
    EventKind,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
    RetryLater,
    SimpleJob,
    Snooze,
    StoreUnavailableError,
)
from job_processor.models import Job
from job_processor.settlements import Settlement
from tests.processors import WAIT, Processors, eventually


class Probe:
    """Handlers that tell when they begin, and end when they are told."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0
        self.exited: list[Job] = []

    async def held(self, job: SimpleJob) -> str:
        """Run until released; the signal is ignored, a cancellation is not."""
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.set()
        try:
            await self.release.wait()
        finally:
            self.running -= 1
        return "released"

    async def polite(self, job: SimpleJob, signal: AbortSignal) -> str:
        """Run until released or asked to stop; then raise."""
        self.began.set()
        while not self.release.is_set():
            signal.raise_if_aborted()
            await asyncio.sleep(0.01)
        return "released"

    async def exit_hook(self, job: Job) -> None:
        """Keep the job."""
        self.exited.append(job)


@pytest.fixture
def probe() -> Probe:
    """A fresh probe."""
    return Probe()


async def ended(processor: JobProcessor, job: Job) -> Job:
    return await processor.wait_for_job(job.id, timeout=WAIT)


async def in_state(processor: JobProcessor, job: Job, status: str) -> Job:
    async def look() -> Job | None:
        found = await processor.get_job(job.id)
        return found if found is not None and found.status == status else None

    found: Job = await eventually(look, status)
    return found


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


async def test_a_shutdown_pauses_what_is_resumable(processors: Processors, probe: Probe) -> None:
    """A resumable job is paused, `started_at` kept, no hook called; another worker resumes it."""
    jobs = {"polite": JobDef(probe.polite, resumable=True, on_job_exited=probe.exit_hook)}
    processor, worker = await processors.start(jobs=jobs)
    job = await processor.schedule_job("polite")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    running = await in_state(processor, job, "running")
    await worker.stop()
    paused = await in_state(processor, job, "paused")
    assert (paused.worker_id, paused.ended_at) == (None, None)
    assert paused.started_at == running.started_at
    assert probe.exited == []
    probe.release.set()
    await processors.start(jobs=jobs)
    done = await ended(processor, job)
    assert done.status is JobStatus.FINISHED
    assert done.started_at == running.started_at
    assert [each.id for each in probe.exited] == [job.id]


async def test_a_shutdown_lets_the_others_finish_within_the_grace(
    processors: Processors, probe: Probe
) -> None:
    """A job that is not resumable finishes if it can; its claims have stopped meanwhile."""
    jobs = {"held": JobDef(probe.held)}
    processor, worker = await processors.start(jobs=jobs, concurrency=1, shutdown_grace=WAIT)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    waiting = await processor.schedule_job("held")
    stopping = asyncio.create_task(worker.stop())
    probe.release.set()
    await stopping
    assert (await in_state(processor, job, "finished")).output is not None
    assert (await in_state(processor, waiting, "pending")).worker_id is None


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_shutdown_forces_what_does_not_listen(
    processors: Processors, probe: Probe, resumable: bool
) -> None:
    """After the grace the handler is cancelled: resumable → paused, else errored "Interrupted"."""
    jobs = {"held": JobDef(probe.held, resumable=resumable)}
    processor, worker = await processors.start(jobs=jobs, shutdown_grace=0.1, kill_grace=0.1)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    await worker.stop()
    found = await processor.get_job(job.id)
    assert found is not None
    if resumable:
        assert found.status is JobStatus.PAUSED
    else:
        assert found.status is JobStatus.ERRORED
        assert found.output is not None
        assert found.output.error == "Interrupted"


async def test_cancelling_the_worker_forces_the_stop(processors: Processors, probe: Probe) -> None:
    """A second SIGINT, or a host that cancels: handlers are cancelled, their ends written."""
    jobs = {"held": JobDef(probe.held, resumable=True)}
    processor, worker = await processors.start(jobs=jobs, shutdown_grace=60, kill_grace=60)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        await worker.crash()
    assert (await in_state(processor, job, "paused")).worker_id is None
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_return_after_a_shutdown_abort_is_a_finish(processors: Processors) -> None:
    """A handler that returns when it is asked to stop has finished."""
    began = asyncio.Event()

    async def handler(signal: AbortSignal) -> str:
        began.set()
        await signal.wait()
        return "in time"

    processor, worker = await processors.start(jobs={"a": JobDef(handler, resumable=True)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(began.wait(), WAIT)
    await worker.stop()
    done = await in_state(processor, job, "finished")
    assert done.output is not None
    assert done.output.result == "in time"


async def test_a_kill_forces_a_handler_that_does_not_listen(
    processors: Processors, probe: Probe
) -> None:
    """After `kill_grace` the handler is cancelled; the job ends killed, its hook is called."""
    jobs = {"held": JobDef(probe.held, resumable=True, on_job_exited=probe.exit_hook)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    await in_state(processor, job, "running")
    await processor.kill_job(job.id)
    done = await ended(processor, job)
    assert done.status is JobStatus.KILLED

    async def hooked() -> bool:
        return [each.status for each in probe.exited] == ["killed"]

    await eventually(hooked)


async def test_max_runtime_is_enforced(processors: Processors, probe: Probe) -> None:
    """Abort, then force, then errored "max runtime …"."""
    jobs = {"held": JobDef(probe.held, max_runtime_in_minutes=0.2 / 60)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("held")
    done = await ended(processor, job)
    assert done.status is JobStatus.ERRORED
    assert done.output is not None
    assert done.output.error is not None
    assert done.output.error.startswith("max runtime")
    assert probe.running == 0


async def test_a_thread_that_hangs_frees_its_slot(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported with its stack, its job is settled for good, its late result dropped."""
    release, late = threading.Event(), threading.Event()

    def hanging() -> str:
        release.wait()
        late.set()
        return "too late"

    async def quick() -> str:
        return "quick"

    jobs = {
        "hanging": JobDef(hanging, max_runtime_in_minutes=0.1 / 60, retry=Retry(max_attempts=5)),
        "quick": JobDef(quick),
    }
    processor, _ = await processors.start(jobs=jobs, concurrency=1)
    try:
        hung = await processor.schedule_job("hanging")
        quick_one = await processor.schedule_job("quick")
        done = await ended(processor, hung)
        assert done.status is JobStatus.ERRORED  # not retried beside its living thread
        assert (await ended(processor, quick_one)).status is JobStatus.FINISHED
        assert "release.wait()" in caplog.text
    finally:
        release.set()
    await asyncio.to_thread(late.wait, WAIT)
    assert await processor.get_job(hung.id) == done


async def test_a_failed_attempt_is_retried_later(processors: Processors, probe: Probe) -> None:
    """Back to pending with the next number, after the delay, the hook only at the end."""
    attempts: list[tuple[int, float]] = []

    async def flaky(job: SimpleJob) -> str:
        attempts.append((job.attempt, time.monotonic()))
        if len(attempts) < 3:
            raise ValueError("not yet")
        return "at last"

    retry = Retry(max_attempts=3, delay=0.2, jitter=False)
    jobs = {"flaky": JobDef(flaky, retry=retry, on_job_exited=probe.exit_hook)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("flaky")
    done = await ended(processor, job)
    assert done.status is JobStatus.FINISHED
    assert [number for number, _ in attempts] == [1, 2, 3]
    assert attempts[1][1] - attempts[0][1] >= 0.2
    assert attempts[2][1] - attempts[1][1] >= 0.4

    async def hooked() -> bool:
        return len(probe.exited) == 1

    await eventually(hooked)
    assert probe.exited[0].status is JobStatus.FINISHED


async def test_a_handler_may_put_itself_off(processors: Processors) -> None:
    """Snoozed as often as it likes, then tried again later, then done: two attempts in all."""
    attempts: list[int] = []

    async def early(job: SimpleJob) -> str:
        attempts.append(job.attempt)
        if len(attempts) < 5:
            raise Snooze(delay=0.01)
        if len(attempts) == 5:
            raise RetryLater("not quite", delay=0.01)
        return "done"

    processor, _ = await processors.start(jobs={"early": JobDef(early)})
    done = await ended(processor, await processor.schedule_job("early"))
    assert done.status is JobStatus.FINISHED
    assert attempts == [1, 1, 1, 1, 1, 2]


async def test_a_retry_is_at_once_when_asked(processors: Processors) -> None:
    """A delay of 0 does not confuse the worker with its own unconfirmed settlement."""
    count = 0

    async def flaky() -> None:
        nonlocal count
        count += 1
        raise ValueError(count)

    retry = Retry(max_attempts=20, delay=0)
    processor = await processors.make(jobs={"flaky": JobDef(flaky, retry=retry)})
    job = await processor.schedule_job("flaky")
    await processor.run_worker(burst=True)
    assert (await ended(processor, job)).status is JobStatus.ERRORED
    assert count == 20


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
    processor, _ = await processors.start(jobs=jobs, poll_interval=30)
    await ended(processor, await processor.schedule_job("a"))
    job = await processor.schedule_job("a", None, timedelta(milliseconds=300))
    done = await ended(processor, job)
    assert done.started_at is not None
    assert (done.started_at - job.scheduled_for).total_seconds() < 5


async def test_a_repeated_settlement_spares_the_next_run(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is sent round again while its worker still repeats the settlement of its last run."""
    begun, release = [0], asyncio.Event()
    written, answers, confirmed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun[0] += 1
        if begun[0] > 1:
            await release.wait()

    processor, _ = await processors.start(jobs={"work": JobDef(work)})
    settle = processor._store.settle

    async def losing(settlements: Sequence[Settlement]) -> set[ObjectId]:
        won = await settle(settlements)
        written.set()
        if not answers.is_set():
            raise StoreUnavailableError("the reply was lost")
        confirmed.set()
        return won

    monkeypatch.setattr(processor._store, "settle", losing)
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
