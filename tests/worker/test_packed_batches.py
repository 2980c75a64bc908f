"""Batches of which no run is made before anybody asks for one, and what makes them be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from job_processor import EventKind, JobDef, JobProcessor, JobStatus, Retry
from job_processor.clock import EPOCH
from job_processor.integrations.encryption import Encryption
from job_processor.store.requests import Outcome, Settlement
from job_processor.worker import runs
from tests.faults import Fault, failed, faulty, lost
from tests.insides import clock_of, engine_of, store_of
from tests.processors import Processors, eventually
from tests.samples import OTHER_WORKER, Made, simple
from tests.worker.batched import Batched, all_ended, put, statuses

pytestmark = pytest.mark.usefixtures("made")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many runs were made for batches."""
    made, run = Counter[str](), runs.Run

    def counted(*arguments: Any, **options: Any) -> Any:
        made["runs"] += 1
        return run(*arguments, **options)

    monkeypatch.setattr("job_processor.worker.batch.Run", counted)
    return made


@pytest.fixture
def batched() -> Batched:
    """A handler that takes payloads alone, and says nothing of any."""
    batched = Batched()
    batched.packed = True
    return batched


def needs_packing(processors: Processors) -> None:
    """Skip where the store brings no jobs that are still to be made."""
    if not processors.db_url.startswith("sqlite"):
        pytest.skip("its claims bring whole jobs")


async def test_nobody_asks_for_a_run(
    processors: Processors, batched: Batched, made: Counter[str]
) -> None:
    """All finish, are told to the charts, and no run was made of any of them."""
    processor = await processors.make(jobs=batched.jobs(3, on_job_exited=None))
    needs_packing(processors)
    jobs = await put(processor, *range(7))
    await processor.run_worker(burst=True)
    assert batched.calls == [[0, 1, 2], [3, 4, 5], [6]]
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished"] * 7
    assert {(job.attempt, job.output and job.output.result) for job in found} == {(1, None)}
    assert all(job.output and job.output.duration_ms is not None for job in found)
    assert all(job.started_at and job.ended_at and job.worker_id for job in found)
    assert made["runs"] == 0
    counted = await store_of(processor).rollups.since(60, EPOCH)
    assert sum(each.counts["finished"] for each in counted) == 7


async def test_a_hook_hears_of_each(processors: Processors, batched: Batched) -> None:
    """Once, with the job as it was written."""
    processor = await processors.make(jobs=batched.jobs(3))
    jobs = await put(processor, *range(3))
    await processor.run_worker(burst=True)
    assert sorted(job.id for job in batched.exited) == sorted(job.id for job in jobs)
    assert statuses(batched.exited) == ["finished"] * 3
    assert [await processor.get_job(job.id) for job in batched.exited] == batched.exited


async def test_events_are_of_each(processors: Processors, batched: Batched) -> None:
    """A listener hears of all, also one that came while the handler ran."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await batched.begins()
    told: list[tuple[EventKind, Any]] = []
    processor.listen(lambda event: told.append((event.kind, event.job and event.job.id)))
    batched.release.set()
    await all_ended(processor, jobs)

    async def both_are_told() -> bool:
        return sorted(told) == sorted((EventKind.FINISHED, job.id) for job in jobs)

    await eventually(both_are_told)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([1, ValueError("no")], ["finished", "errored"]),
        ([None, None], ["finished", "finished"]),
        ([1], ["errored", "errored"]),
        (7, ["errored", "errored"]),
    ],
)
async def test_an_answer_is_of_each(
    processors: Processors, batched: Batched, answer: Any, expected: list[str]
) -> None:
    """As soon as it says anything of one."""
    batched.told = answer
    processor = await processors.make(jobs=batched.jobs(2))
    jobs = await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, jobs)) == expected


async def test_what_it_raises_is_the_failure_of_all(processors: Processors) -> None:
    """Each has its own attempts, and comes together again with the others."""
    calls: list[int] = []

    async def handle(payloads: list[Any]) -> None:
        calls.append(len(payloads))
        if len(calls) == 1:
            raise ValueError("all")

    definition = JobDef(handle, batch=2, retry=Retry(2, delay=0.001))
    processor, _ = await processors.start(jobs={"send": definition})
    jobs = await put(processor, 0, 1)
    found = await all_ended(processor, jobs)
    assert [(job.status.value, job.attempt) for job in found] == [("finished", 2)] * 2
    assert sum(calls) == 4


async def test_others_join_a_batch_that_waits(processors: Processors, batched: Batched) -> None:
    """In the order in which they came."""
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=3600))
    jobs = await put(processor, 0, 1)

    async def are_claimed() -> bool:
        return await processor.count_jobs(status="running") == 2

    await eventually(are_claimed)
    jobs += await put(processor, 2)
    assert statuses(await all_ended(processor, jobs)) == ["finished"] * 3
    assert batched.calls == [[0, 1, 2]]


@pytest.mark.parametrize("fault", [lost(), failed(), failed(lambda: RuntimeError("odd"))])
async def test_an_end_whose_reply_was_lost(
    processors: Processors, batched: Batched, fault: Fault
) -> None:
    """It is written again, and the hook hears of each job once."""
    processor = JobProcessor(db=processors.db_url, jobs=batched.jobs(3))
    faults = faulty(processor)
    faults.next("runs.settle_together", fault)
    await processors.open(processor)
    needs_packing(processors)
    jobs = await put(processor, 0, 1, 2)
    await processor.run_worker(burst=True)
    assert faults.calls["runs.settle_together"] == 1
    assert statuses(await all_ended(processor, jobs)) == ["finished"] * 3
    assert batched.calls == [[0, 1, 2]]
    assert sorted(job.id for job in batched.exited) == sorted(job.id for job in jobs)


async def test_one_that_was_taken_away(processors: Processors, batched: Batched) -> None:
    """While the handler runs: its end is not ours to write, those of the others are."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=0.01))
    jobs = await put(processor, 0, 1, 2)
    await batched.begins()
    store, now = store_of(processor), clock_of(processor).now()
    taken = await processor.get_job(jobs[1].id)
    assert taken is not None
    outcome = Outcome(JobStatus.PAUSED, now)
    assert (await store.runs.settle([Settlement(taken, outcome, OTHER_WORKER)])).won
    batched.holds = False
    batched.release.set()
    assert statuses(await all_ended(processor, [jobs[0], jobs[2]])) == ["finished"] * 2
    found = await all_ended(processor, [jobs[1]])
    assert statuses(found) == ["finished"]  # in a run of its own
    assert batched.calls == [[0, 1, 2], [1]]


async def test_one_that_another_job_comes_after_by_now(
    processors: Processors, batched: Batched
) -> None:
    """It ends with the others, and what comes after it begins."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await batched.begins()
    after = await processor.schedule_job("send", {"n": 2}, after=jobs[1])
    batched.holds = False
    batched.release.set()
    assert statuses(await all_ended(processor, jobs)) == ["finished"] * 2

    async def waits_no_more() -> bool:
        return (await processor.get_job(after.id)).parked is None  # type: ignore[union-attr]  # it is there

    await eventually(waits_no_more)


async def test_a_registration_that_is_gone(processors: Processors, batched: Batched) -> None:
    """The runs go along to the new one, and end under it."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await batched.begins()
    engine, store = engine_of(processor), store_of(processor)
    before = engine.worker_id
    await store.workers.unregister(before)
    await engine.lease.beat()

    async def has_moved() -> bool:
        return engine.worker_id != before

    await eventually(has_moved)
    batched.release.set()
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished"] * 2
    assert {job.worker_id for job in found} == {engine.worker_id}


@dataclass
class Mail:
    """A payload."""

    n: int


async def test_payloads_of_a_class(processors: Processors, made: Counter[str]) -> None:
    """Are made of all; one that cannot be fails alone."""
    got: list[Mail] = []

    async def handle(payloads: list[Mail]) -> None:
        got.extend(payloads)

    processor = await processors.make(jobs={"send": JobDef(handle, batch=3)})
    needs_packing(processors)
    good = await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, good)) == ["finished"] * 2
    assert made["runs"] == 0
    elsewhere = await processors.make(jobs={"send": JobDef(None)})
    jobs = [await elsewhere.schedule_job("send", {"m": 1}), *await put(processor, 2)]
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, jobs)) == ["errored", "finished"]
    assert got == [Mail(0), Mail(1), Mail(2)]


async def test_a_payload_that_is_not_to_be_read(processors: Processors, batched: Batched) -> None:
    """Its job fails alone, and it comes to no handler; where it can be read it is."""
    codec = Encryption({"a": bytes(range(32))}, use="a")
    processor = await processors.make(jobs=batched.jobs(3))
    encrypting = await processors.make(jobs=batched.jobs(3), codec=codec)
    sealed, jobs = await put(encrypting, 1), await put(processor, 2, 3)
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, [*sealed, *jobs])) == ["errored", *["finished"] * 2]
    assert batched.calls == [[2, 3]]
    more = await put(encrypting, 4, 5)
    await encrypting.run_worker(burst=True)
    assert statuses(await all_ended(encrypting, more)) == ["finished"] * 2
    assert batched.calls == [[2, 3], [4, 5]]


async def test_those_that_are_not_as_most(processors: Processors, batched: Batched) -> None:
    """Come in the same batch: with a label, a priority, an attempt before."""
    processor, hour = await processors.make(jobs=batched.jobs(9)), timedelta(hours=1)
    plain = await put(processor, 0, 1)
    labelled = await processor.schedule_job("send", {"n": 2}, labels=["a"])
    urgent = await processor.schedule_job("send", {"n": 3}, priority=5)
    expired = await processor.schedule_job(
        "send", {"n": 4}, scheduled_for=-2 * hour, expires_at=-hour
    )
    await processor.run_worker(burst=True)
    found = await all_ended(processor, [*plain, labelled, urgent, expired])
    assert statuses(found) == [*["finished"] * 4, "skipped"]
    assert batched.calls == [[3, 0, 1, 2]]
    assert found[2].labels == ("a",)
    for job in (plain[0], urgent):
        await processor.retry_job(job.id)
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, [plain[0], urgent])) == ["finished"] * 2


@pytest.mark.parametrize("ask", [list, lambda runs: [runs.get(id) for id in runs.ids()]])
async def test_whoever_asks_for_runs_gets_them(
    processors: Processors, batched: Batched, ask: Callable[[Any], list[Any]]
) -> None:
    """As they stand: begun, of the batch's task; and they end as if they had always been."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await batched.begins()
    runs = engine_of(processor).runs
    assert [len(runs), runs.of_worker, runs.free_slots(10)] == [2, 2, 9]
    assert {held.id for held in runs.held_jobs()} == {job.id for job in jobs}
    assert all(job.id in runs for job in jobs)
    found = ask(runs)
    assert [run.job.id for run in found] == [job.id for job in jobs]
    assert all(run.begun and not run.concluded and run.task is not None for run in found)
    assert [len(runs), runs.of_worker, runs.free_slots(10)] == [2, 2, 9]
    batched.release.set()
    assert statuses(await all_ended(processor, jobs)) == ["finished"] * 2

    async def none_is_left() -> bool:
        return [len(runs), runs.of_worker, runs.free_slots(10)] == [0, 0, 10]

    await eventually(none_is_left)


async def test_what_is_held_is_known(processors: Processors, batched: Batched) -> None:
    """Packed or not, or held back: a claim that brings it again is judged job by job."""
    batched.holds = True
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await batched.begins()
    runs = engine_of(processor).runs
    assert runs.holds_any(Made([simple(), jobs[1]]))
    assert not runs.holds_any(Made([simple()]))
    assert len(list(runs)) == 2
    assert runs.holds_any(Made([simple(), jobs[1]]))
    back = simple()
    runs.held.add(back.id)
    assert runs.holds_any(Made([back]))
    runs.held.discard(back.id)
    batched.release.set()
    await all_ended(processor, jobs)


async def test_slots_are_free_again(processors: Processors, batched: Batched) -> None:
    """One for each batch, after its end."""
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600), concurrency=1)
    for start in (0, 2, 4):
        jobs = await put(processor, start, start + 1)
        assert statuses(await all_ended(processor, jobs)) == ["finished"] * 2
    runs = engine_of(processor).runs

    async def none_is_left() -> bool:
        return [len(runs), runs.of_worker, runs.free_slots(1)] == [0, 0, 1]

    await eventually(none_is_left)
