"""What a statement costs does not grow with what lies around it, counted in SQLite's own steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus, Output
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW, RESULT, SOON, WORKER, claim, end, settled, simple

FEW, MANY = 1_000, 20_000
NAMES = ("resize", "mail", "report")

BACKLOGS: dict[str, Callable[[int], Job]] = {
    "of its names": lambda i: simple(NAMES[i % 3], due_in=-i),
    "of its names, of all priorities": lambda i: simple(NAMES[i % 3], due_in=-i, priority=i % 10),
    "of other names": lambda i: simple("other", due_in=-i),
    "due later": lambda i: simple(NAMES[i % 3], due_in=60 + i),
    "in the history": lambda i: settled(NAMES[i % 3]),
    "running elsewhere": lambda i: simple(
        NAMES[i % 3], status=JobStatus.RUNNING, worker_id=ObjectId(), started_at=NOW
    ),
}


async def steps_of(store: SqliteStore, call: Callable[[], Awaitable[object]]) -> int:
    """Return how many steps of its virtual machine SQLite makes for a call."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    for database in {store._connections.writer, store._connections.reader}:
        await database.call(lambda connection: connection.set_progress_handler(count, 1))
    await call()
    for database in {store._connections.writer, store._connections.reader}:
        await database.call(lambda connection: connection.set_progress_handler(None, 1))
    return steps


@pytest.mark.parametrize("backlog", BACKLOGS)
async def test_a_claim_costs_the_same_whatever_waits(store: SqliteStore, backlog: str) -> None:
    """Not the jobs of its names, of other names, those due later, nor the history count."""
    make = BACKLOGS[backlog]
    await store.intake.insert([simple(name, due_in=-1e6) for name in NAMES for _ in range(20)])
    costs = []
    for numbers in (range(FEW), range(FEW, MANY)):
        await store.intake.insert([make(i) for i in numbers])
        costs.append(await steps_of(store, lambda: claimed(store, 10)))
    few, many = costs
    assert many <= few * 1.05


@pytest.mark.parametrize("around", ["parked", "in line of other names", "running in lanes"])
async def test_a_claim_of_lanes_costs_the_same_whatever_is_parked(
    store: SqliteStore, around: str
) -> None:
    """Neither who is parked nor who runs counts, for a claim of lanes and for one of plain jobs."""
    store.lanes.book = LimitBook(lambda: {"sync": 1}, lambda: ["sync"], lambda: SOON)
    lanes = [simple("sync", due_in=-1e6, lane=f"sync:{n}") for n in range(40)]
    await store.intake.insert([*lanes, *(simple("resize", due_in=-1e6) for _ in range(40))])
    fields: dict[str, Any] = {
        "parked": {"name": "sync", "parked": "slot"},
        "in line of other names": {"name": "other"},
        "running in lanes": {"name": "sync", "status": JobStatus.RUNNING},
    }[around]

    async def of_lanes() -> None:
        wanted = LaneClaim(WORKER, ("sync",), 10, SOON)
        assert len((await store.lanes.claim(wanted)).jobs) == 10

    costs: list[tuple[int, int]] = []
    for numbers in (range(FEW), range(FEW, MANY)):
        around_it = [simple(lane=f"sync:a{i % 500}", due_in=-i, **fields) for i in numbers]
        if around == "running in lanes":
            around_it = [replace(job, slot=f"{job.lane}#{job.id}") for job in around_it]
        await store.intake.insert(around_it)
        plain = await steps_of(store, lambda: store.queue.claim(claim(10, "resize")))
        costs.append((await steps_of(store, of_lanes), plain))
    few, many = costs
    assert many[0] <= few[0] * 1.05
    assert many[1] <= few[1] * 1.05


async def claimed(store: SqliteStore, count: int) -> Sequence[Job]:
    runs = await store.queue.claim(claim(count, *NAMES))
    assert len(runs) == count
    return runs


async def test_a_claim_costs_as_much_as_it_takes(store: SqliteStore) -> None:
    """What is counted here does grow, with what is claimed: a hundred cost more than ten."""
    await store.intake.insert([simple(NAMES[i % 3], due_in=-1e6) for i in range(FEW)])
    ten = await steps_of(store, lambda: claimed(store, 10))
    hundred = await steps_of(store, lambda: claimed(store, 100))
    assert ten * 4 < hundred < ten * 20


async def test_a_job_under_load_is_a_tenth_of_a_statement(store: SqliteStore) -> None:
    """As SQLite itself counts them, begin and commit too: one for each row would be one a job."""
    statements: list[str] = []
    await store.intake.insert([simple() for _ in range(100)])
    await store._connections.writer.call(
        lambda connection: connection.set_trace_callback(statements.append)
    )
    runs = await claimed(store, 100)
    assert (await store.runs.settle([end(run) for run in runs])).won == {run.id for run in runs}
    assert len(statements) <= 10


@pytest.mark.parametrize("count", [1, 2, 3, 31, 127, 128, 129, 200, 500])
async def test_a_batch_of_any_size_is_settled(store: SqliteStore, count: int) -> None:
    """However it is cut into statements: each job gets its own end, and those taken away none."""
    await store.intake.insert([simple() for _ in range(count)])
    runs = await claimed(store, count)
    taken = {run.id for run in runs[::7][1:]}
    await store.runs.settle([end(run) for run in runs if run.id in taken])
    ends = [end(run, output=Output("1 ms", str(run.id))) for run in runs]
    assert (await store.runs.settle(ends)).won == {run.id for run in runs} - taken
    for run in runs:
        found = await store.history.get(run.id)
        assert found is not None
        assert found.output is not None
        assert found.output.result == (RESULT.result if run.id in taken else str(run.id))


async def test_no_other_verb_costs_more_with_a_long_history(store: SqliteStore) -> None:
    """Whatever a worker does all the time, and a dashboard shows, is bounded by its limit."""
    runs: list[Job] = []

    async def settle() -> None:
        await store.runs.settle([end(runs.pop()) for _ in range(5)])

    verbs: dict[str, Callable[[], Awaitable[Any]]] = {
        "runs.settle": settle,
        "intake.insert": lambda: store.intake.insert([simple()]),
        "queue.next_due": lambda: store.queue.next_due(NAMES),
        "queue.count_due": lambda: store.queue.count_due(["resize"], NOW, 10),
        "queue.due": lambda: store.queue.due(NOW, 10),
        "runs.of_worker": lambda: store.runs.of_worker(WORKER, 10),
        "runs.workers": store.runs.workers,
        "history.find": lambda: store.history.find(JobQuery(limit=10)),
        "find by name": lambda: store.history.find(JobQuery(name="resize", limit=10)),
        "find by state": lambda: store.history.find(JobQuery(status=JobStatus.FINISHED, limit=10)),
        "history.find_active": lambda: store.history.find_active("simple", "mail"),
        "history.names": lambda: store.history.names(10),
        "history.count": lambda: store.history.count([("simple", name) for name in NAMES], 20),
        "kills.kill_waiting": lambda: store.kills.kill_waiting(ObjectId(), NOW),
        "kills.requested": lambda: store.kills.requested([ObjectId()]),
        "history.prune": lambda: store.history.prune(NOW, 10),
    }
    costs: list[dict[str, int]] = []
    for numbers in (range(FEW), range(FEW, MANY)):
        await store.intake.insert([BACKLOGS["of its names"](i) for i in numbers])
        await store.intake.insert([BACKLOGS["in the history"](i) for i in numbers])
        runs += await claimed(store, 5)
        costs.append({verb: await steps_of(store, call) for verb, call in verbs.items()})
    few, many = costs
    assert {verb: many[verb] for verb in verbs if many[verb] > few[verb] * 1.1 + 20} == {}


async def test_a_limit_without_a_key_costs_few_steps(store: SqliteStore) -> None:
    """Claim and end of a free job take at most 5% more than those of one without a limit."""
    store.lanes.book = LimitBook(lambda: {"sync": 1_000}, lambda: ["sync"], lambda: SOON)
    plain = [simple("resize", due_in=-1e6) for _ in range(100)]
    free = [simple("sync", due_in=-1e6, lane="sync") for _ in range(100)]
    await store.intake.insert([*plain, *free])

    async def run_plain() -> None:
        runs = await store.queue.claim(claim(100, "resize"))
        assert len((await store.runs.settle([end(run) for run in runs])).won) == 100

    async def run_free() -> None:
        runs = (await store.lanes.claim(LaneClaim(WORKER, ("sync",), 100, SOON))).jobs
        assert len((await store.runs.settle([end(run) for run in runs])).won) == 100

    without, limited = await steps_of(store, run_plain), await steps_of(store, run_free)
    assert limited <= without * 1.05
