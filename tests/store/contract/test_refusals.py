"""What a database cannot store, and that it keeps nothing else from being stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from job_processor.errors import StoreRefusedError
from job_processor.models import Job, JobStatus, LogLine, Notes, Output, Progress
from job_processor.store import Store
from job_processor.store.requests import Settlement, Verdict
from job_processor.store.sqlite import SqliteStore
from job_processor.worker.outcomes import UNSTORABLE, last_resort
from tests.samples import LATER, NOW, WORKER, end, retry, run, simple
from tests.store.contract.statements import Statements, watched

SURROGATE = "caf\udce9.csv"
BROKEN_NOTES = Notes(Progress(object(), None, NOW))  # type: ignore[arg-type]  # that is its fault

Broken: TypeAlias = Callable[[Job], Settlement]

BROKEN: dict[str, Broken] = {
    "a result's text": lambda job: end(job, output=Output("1 s", {"file": SURROGATE})),
    "a result's key": lambda job: end(job, output=Output("1 s", {SURROGATE: 1})),
    "a result's type": lambda job: end(job, output=Output("1 s", {"n": object()})),
    "what a retry keeps": lambda job: retry(job, output=Output("1 s", SURROGATE, "ValueError")),
    "notes": lambda job: end(job, notes=BROKEN_NOTES),
    "depth": lambda job: end(job, output=Output("1 s", _deep(5000))),
}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
async def counted(db_url: str) -> AsyncIterator[tuple[Store, Statements]]:
    """A store, and the statements that it makes."""
    if db_url.startswith("dictionaries"):
        pytest.skip("dictionaries are asked without a statement")
    async with watched(db_url) as both:
        yield both


@pytest.mark.parametrize("what", BROKEN)
async def test_what_cannot_be_encoded_is_refused_and_named(store: Store, what: str) -> None:
    """Alone and among others: only this one is refused, and it stays as it was."""
    alone, *jobs = await run(store, *(simple() for _ in range(6)))
    broken = BROKEN[what](alone)
    verdict = await store.runs.settle([broken])
    assert not verdict.won
    assert verdict.refused.keys() == {alone.id}
    batch = [end(job) for job in jobs[:3]] + [broken] + [retry(job) for job in jobs[3:]]
    for _ in range(2):  # the second time as after a lost reply
        verdict = await store.runs.settle(batch)
        assert verdict.won == {job.id for job in jobs}
        assert verdict.refused.keys() == {alone.id}
        assert all(verdict.refused.values())
    assert await store.history.get(alone.id) == alone
    assert (await store.runs.settle([end(alone)])).won == {alone.id}


async def test_several_are_refused_at_once(store: Store) -> None:
    """Each with its own reason, wherever they stand in the batch."""
    jobs = await run(store, *(simple() for _ in range(12)))
    makers = list(BROKEN.values())
    bad = {jobs[position].id: makers[i](jobs[position]) for i, position in enumerate((0, 5, 6, 11))}
    verdict = await store.runs.settle([bad.get(job.id, end(job)) for job in jobs])
    assert verdict.refused.keys() == bad.keys()
    assert verdict.won == {job.id for job in jobs} - bad.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "plain", "most"),
    # A retry is a statement of its own on SQLite: those of its part are made twice.
    [("a result's text", end, 20), ("what a retry keeps", retry, 140)],
)
async def test_one_that_is_refused_costs_the_same_among_few_and_among_many(
    counted: tuple[Store, Statements],
    what: str,
    plain: Callable[[Job], Settlement],
    most: int,
) -> None:
    """What many outcomes cost more where one is refused is bounded, however many there are."""
    store, statements = counted
    on_sqlite = isinstance(store, SqliteStore)
    counts = (128, 500) if on_sqlite else (40, 120)  # the server of the tests takes its time
    for count in counts:
        costs = []
        for broken in (plain, BROKEN[what]):
            first, *jobs = await run(store, *(simple() for _ in range(count)))
            statements.made.clear()
            verdict = await store.runs.settle([*map(plain, jobs), broken(first)])
            costs.append(len(statements.made))
            assert len(verdict.refused) == (broken is not plain)
            assert len(verdict.won) == count - len(verdict.refused)
        assert costs[1] <= costs[0] + (most if on_sqlite else 20)


async def test_notes_that_cannot_be_stored_keep_no_others_back(store: Store) -> None:
    """They are named with the reason, and those of the other runs are there."""
    jobs = await run(store, *(simple() for _ in range(5)))
    fine = Notes(None, (LogLine(NOW, "fine"),))
    noted = [(job, BROKEN_NOTES if job is jobs[2] else fine) for job in jobs]
    assert (await store.runs.save_notes(noted)).keys() == {jobs[2].id}
    for job in jobs:
        found = await store.history.get(job.id)
        assert found == (job if job is jobs[2] else replace(job, notes=fine))
    assert (await store.runs.save_notes(noted[2:3])).keys() == {jobs[2].id}
    assert await store.runs.save_notes(noted[:2]) == {}


async def test_input_that_cannot_be_stored_has_an_error_of_its_own(store: Store) -> None:
    """Whoever asked for it is told, and the database stands as it stood."""
    (job,) = await run(store, simple())
    with pytest.raises(StoreRefusedError):
        await store.runs.save_state(job, {"x": SURROGATE})
    assert await store.runs.state(job.id) is None
    with pytest.raises(StoreRefusedError):
        await store.intake.insert([simple(payload={"x": SURROGATE})])


async def test_the_last_resort_takes_what_a_run_has_left_behind(store: Store) -> None:
    """It is written whatever was refused, and makes room: notes and saved state go."""
    (job,) = await run(store, simple())
    await store.runs.save_state(job, {"rows": "x" * 1000})
    await store.runs.save_notes([(job, Notes(None, (LogLine(NOW, "line"),)))])
    refused = BROKEN["a result's text"](job)
    why = (await store.runs.settle([refused])).refused[job.id]
    least = Settlement(job, last_resort(refused.outcome, f"{why} {SURROGATE}"), WORKER)
    for _ in range(2):
        assert await store.runs.settle([least]) == Verdict({job.id})
    found = await store.history.get(job.id)
    assert found == least.written()
    assert found.output is not None
    assert (found.status, found.notes) == (JobStatus.ERRORED, None)
    assert (found.output.error or "").startswith(UNSTORABLE)
    assert await store.runs.state(job.id) is None


async def test_an_end_without_a_word_is_written_too(store: Store) -> None:
    """Nothing but the state and its times: there is no less."""
    (job,) = await run(store, simple())
    least = end(job, JobStatus.ERRORED, output=None, bare=True, at=LATER)
    for _ in range(2):
        assert await store.runs.settle([least]) == Verdict({job.id})
    assert await store.history.get(job.id) == least.written()
