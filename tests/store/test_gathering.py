"""Jobs of many callers in one write: when it begins, who gets which answer, who may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from job_processor.errors import NotSetUpError, StoreRefusedError, StoreUnavailableError
from job_processor.models import Job
from job_processor.store import gathering
from job_processor.store.gathering import Gathering
from tests.processors import WAIT
from tests.samples import simple

caller: ContextVar[str] = ContextVar("caller", default="nobody")


class Desk:
    """Writes nothing; a test sees what is asked for and decides when and how it is answered."""

    def __init__(self, at_once: int = 1, *, here: bool = False) -> None:
        self._gathering = Gathering(at_once)
        self._here = here
        self.written_here: list[list[Job]] = []
        self.writes: list[list[Job]] = []
        self.callers: list[str] = []
        self.cancelled = 0
        self.refused: set[str] = set()
        self.errors: dict[str, Exception] = {}
        """What is raised by a write that has a job of this name."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def has_begun(self, count: int) -> None:
        """Return once so many writes have begun."""
        while len(self.writes) < count:
            self.begun.clear()
            await self.begun.wait()

    async def put(self, job: Job) -> bool:
        """Put a job by this desk."""
        return await self._gathering.put(self, job)

    def insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:
        """Take down what is written before it returns, if this desk does that."""
        if not self._here:
            return None
        self.written_here.append(list(jobs))
        return [job for job in jobs if job.name in self.refused]

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Take a write down, and answer once the gate is open."""
        self.writes.append(list(jobs))
        self.callers.append(caller.get())
        self.begun.set()
        try:
            await asyncio.sleep(0)  # as any that has somebody else to ask
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for job in jobs:
            if job.name in self.errors:
                raise self.errors[job.name]
        return [job for job in jobs if job.name in self.refused]


async def together(desk: Desk, jobs: Sequence[Job]) -> list[bool | BaseException]:
    """Put jobs, each by a task of its own, all in one turn; return the answers."""
    async with asyncio.timeout(WAIT):
        return await asyncio.gather(*map(desk.put, jobs), return_exceptions=True)


async def test_what_comes_in_one_turn_is_one_write_in_the_order_of_asking() -> None:
    """However many tasks ask."""
    desk, jobs = Desk(), [simple() for _ in range(100)]
    assert await together(desk, jobs) == [True] * 100
    assert desk.writes == [jobs[:1], jobs[1:]]  # the first of them did not wait for others


async def test_while_a_write_is_under_way_the_next_one_gathers() -> None:
    """What comes in many turns is one write then; as many as allowed are under way at a time."""
    desk, jobs = Desk(at_once=2), [simple() for _ in range(6)]
    desk.gate.clear()
    async with asyncio.timeout(WAIT), asyncio.TaskGroup() as tasks:
        for job in jobs:
            desk.begun.clear()
            tasks.create_task(desk.put(job))
            if job in jobs[:2]:
                await desk.begun.wait()
            for _ in range(3):
                await asyncio.sleep(0)
        assert desk.writes == [jobs[:1], jobs[1:2]]
        desk.gate.set()
    assert desk.writes[2:] == [jobs[2:]]


async def test_a_write_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more is several writes, in order."""
    monkeypatch.setattr(gathering, "LARGEST", 3)
    desk, jobs = Desk(), [simple() for _ in range(7)]
    assert await together(desk, jobs) == [True] * 7
    assert desk.writes == [jobs[:1], jobs[1:4], jobs[4:]]


async def test_a_lone_job_is_written_before_anything_else_runs() -> None:
    """Where the database does that; what comes in the same turn after it gathers."""
    desk, jobs = Desk(here=True), [simple() for _ in range(5)]
    assert await together(desk, jobs) == [True] * 5
    assert desk.written_here == [jobs[:1], jobs[1:]]
    assert desk.writes == []


async def test_who_puts_one_job_after_the_other_lets_others_run() -> None:
    """Each time, also where nothing has to be waited for."""
    desk, turns = Desk(here=True), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    for _ in range(20):
        assert await desk.put(simple())
    assert turns >= 20
    other.cancel()


@pytest.mark.parametrize("here", [False, True])
async def test_each_caller_hears_whether_its_own_job_was_refused(here: bool) -> None:
    """And nobody of another's."""
    desk = Desk(here=here)
    desk.refused = {"taken"}
    names = ["resize", "taken", "resize", "taken", "mail"]
    answers = await together(desk, [simple(name) for name in names])
    assert answers == [name != "taken" for name in names]


@pytest.mark.parametrize("count", [1, 2, 7, 64])
async def test_a_job_that_is_not_taken_fails_its_own_caller_alone(count: int) -> None:
    """It is found in few writes, wherever it stands."""
    for position in {0, count // 2, count - 1}:
        desk = Desk()
        desk.errors = {"bad": StoreRefusedError("too large")}
        jobs = [simple("bad" if n == position else "resize") for n in range(count)]
        answers = await together(desk, jobs)
        assert [n for n, answer in enumerate(answers) if answer is not True] == [position]
        assert isinstance(answers[position], StoreRefusedError)
        assert len(desk.writes) <= 2 * count.bit_length() + 2


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), NotSetUpError("closed")])
async def test_a_database_that_is_away_fails_all_at_once(error: Exception) -> None:
    """With an error for each caller, and without asking it again and again."""
    error.__cause__ = OSError("the cable")
    desk = Desk()
    desk.errors = {"resize": error}
    _, *answers = await together(desk, [simple("fine"), *(simple() for _ in range(8))])
    assert {type(answer) for answer in answers} == {type(error)}
    assert {str(answer) for answer in answers} == {str(error)}
    assert len(desk.writes) == 2
    if isinstance(error, StoreUnavailableError):
        assert len({id(answer) for answer in answers}) == 8
        assert all(isinstance(answer, BaseException) for answer in answers)
        assert {answer.__cause__ for answer in answers if isinstance(answer, BaseException)} == {
            error.__cause__
        }


async def test_a_write_outlives_a_caller_who_leaves() -> None:
    """The others of it get their answers."""
    desk, jobs = Desk(at_once=2), [simple() for _ in range(4)]
    desk.gate.clear()
    async with asyncio.timeout(WAIT):
        tasks = [asyncio.create_task(desk.put(job)) for job in jobs]
        await desk.has_begun(2)
        tasks[2].cancel()
        await asyncio.wait([tasks[2]])
        desk.gate.set()
        assert [await task for task in tasks if task is not tasks[2]] == [True] * 3
    assert desk.writes == [jobs[:1], jobs[1:]]
    assert desk.cancelled == 0


async def test_a_write_for_which_nobody_waits_is_given_up() -> None:
    """So that what hangs keeps no other waiting, and the next write begins."""
    desk, jobs = Desk(at_once=2), [simple() for _ in range(4)]
    desk.gate.clear()
    async with asyncio.timeout(WAIT):
        tasks = [asyncio.create_task(desk.put(job)) for job in jobs[:3]]
        await desk.has_begun(2)
        later = asyncio.create_task(desk.put(jobs[3]))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await desk.has_begun(3)
        assert desk.cancelled == 2  # that of the lone one, and that of the two
        desk.gate.set()
        assert await later
    assert desk.writes == [jobs[:1], jobs[1:3], jobs[3:]]


async def test_what_was_taken_back_before_its_write_is_not_written() -> None:
    """Neither alone nor among others."""
    desk, jobs = Desk(), [simple() for _ in range(3)]
    tasks = [asyncio.create_task(desk.put(job)) for job in jobs]
    asyncio.get_running_loop().call_soon(tasks[1].cancel)  # after they have asked
    await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[::2] == [True, True]
    assert isinstance(answers[1], asyncio.CancelledError)
    assert desk.writes == [jobs[:1], jobs[2:]]


async def test_a_write_is_in_the_context_of_no_caller() -> None:
    """A deadline or a span of the one is nothing for the jobs of the others; a lone one has it."""
    desk = Desk()
    caller.set("ada")
    assert await together(desk, [simple() for _ in range(3)]) == [True] * 3
    assert desk.callers == ["ada", "nobody"]


def test_another_event_loop_begins_anew() -> None:
    """What a loop that has ended left behind keeps nobody waiting in the next one."""
    desks: list[Desk] = []
    left_behind: list[asyncio.Task[bool]] = []

    async def leave() -> None:
        desks.append(Desk())
        desks[0].gate.clear()
        left_behind.append(asyncio.create_task(desks[0].put(simple())))
        await desks[0].begun.wait()

    async def come() -> bool:
        desks[0].gate = asyncio.Event()
        desks[0].gate.set()
        desks[0].begun = asyncio.Event()
        async with asyncio.timeout(WAIT):
            return await desks[0].put(simple())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())  # and no task of it is ended
    assert asyncio.run(come())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
