"""New jobs of many callers, written together: each caller gets the answer about its own.

What is asked for in one turn of the event loop makes one write; and while as many writes as a
database is to have at once are under way, the next one gathers. Nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from types import coroutine
from typing import Protocol

from job_processor.errors import NotSetUpError, StoreError, StoreUnavailableError
from job_processor.models import Job

LARGEST = 500
"""Jobs of one write."""


class Inserts(Protocol):
    """The desk by which jobs are written."""

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs; return those refused."""

    def insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:
        """Do the same before it returns; None where that may take a while: nothing was done."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A job, and who waits for the answer whether it was refused."""

    job: Job
    answer: asyncio.Future[bool]


@dataclass(slots=True, eq=False)
class _Write:
    """A write that is under way."""

    asked: list[_Asked]
    task: asyncio.Task[None] | None = field(default=None)


class Gathering:
    """Gathers the jobs of one desk; used by one event loop at a time.

    at_once: writes under way at a time.

    It gets the desk with each job, and keeps it no longer: the two would keep each other alive.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[_Asked] = []
        self._under_way: list[_Write] = []
        self._had_its_turn = False
        """True while one was written in this turn of the event loop: more may come in it."""
        self._context = Context()
        """That of nobody: a deadline or a span of one caller is not for the jobs of the others."""

    async def put(self, desk: Inserts, job: Job) -> bool:
        """Return True once the job is in the database, False where it was refused.

        Cancelling this takes back what no write has begun with; a write goes on for the others, and
        is given up once nobody waits for it.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before has ended, and with it who waited there
            self._loop, self._waiting, self._under_way = loop, [], []
            self._had_its_turn = False
        if not (self._had_its_turn or self._waiting or self._under_way):
            refused = desk.insert_here((job,))
            if refused is not None:
                self._had_its_turn = True
                try:
                    await _next_turn()
                finally:
                    self._had_its_turn = False
                return not refused
            return await self._write_alone(desk, job)
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(_Asked(job, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._write, desk, context=self._context)
        try:
            return await answer
        finally:
            if answer.cancelled():
                self._give_up()

    async def _write_alone(self, desk: Inserts, job: Job) -> bool:
        """Write a job for which nobody else has to be asked, in its caller's own task."""
        write = _Write([])
        self._under_way.append(write)
        try:
            return not await desk.insert((job,))
        finally:
            self._context.run(self._end, desk, write)

    def _end(self, desk: Inserts, write: _Write) -> None:
        """Go on with what has gathered meanwhile."""
        if write in self._under_way:  # else the store works in another loop by now
            self._under_way.remove(write)
            self._write(desk)

    def _write(self, desk: Inserts) -> None:
        """Begin to write what has gathered, as far as there may be another write."""
        while self._waiting and len(self._under_way) < self._at_once:
            asked, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
            asked = [each for each in asked if not each.answer.cancelled()]
            if asked and not _write_here(desk, asked):
                write = _Write(asked)
                self._under_way.append(write)
                write.task = asyncio.create_task(self._write_there(desk, write), name="insert jobs")

    async def _write_there(self, desk: Inserts, write: _Write) -> None:
        try:
            await _insert_all(desk, write.asked)
        except asyncio.CancelledError:  # nobody waits, or the loop ends
            for each in write.asked:
                each.answer.cancel()
            raise
        finally:
            self._end(desk, write)

    def _give_up(self) -> None:
        """End the writes for which nobody waits any more."""
        for write in self._under_way:
            if write.task is not None and all(each.answer.cancelled() for each in write.asked):
                write.task.cancel()


@coroutine
def _next_turn() -> Generator[None, None, None]:
    """Let others run: who puts one job after the other keeps nobody from it.

    As `asyncio.sleep(0)`, in less time.
    """
    yield


def _write_here(desk: Inserts, asked: Sequence[_Asked]) -> bool:
    """Write before it returns, where that is quick; False where it is not."""
    try:
        refused = desk.insert_here([each.job for each in asked])
    except Exception as error:  # noqa: BLE001  # it belongs to whoever waits
        _fail(asked, error)
        return True
    if refused is None:
        return False
    _answer(asked, refused)
    return True


async def _insert_all(desk: Inserts, asked: Sequence[_Asked]) -> None:
    """Insert jobs; find out by halves which of them the database does not take.

    Inserting one again that is there already is harmless.
    """
    try:
        refused = await desk.insert([each.job for each in asked])
    except Exception as error:  # noqa: BLE001  # it belongs to whoever waits
        if len(asked) == 1 or not _may_be_of_one(error):
            _fail(asked, error)
            return
        half = len(asked) // 2
        await _insert_all(desk, asked[:half])
        await _insert_all(desk, asked[half:])
    else:
        _answer(asked, refused)


def _may_be_of_one(error: Exception) -> bool:
    """True where others may be taken though one was not."""
    return not isinstance(error, StoreUnavailableError | NotSetUpError | OSError | MemoryError)


def _answer(asked: Sequence[_Asked], refused: Sequence[Job]) -> None:
    not_taken = {job.id for job in refused}
    for each in asked:
        if not each.answer.done():
            each.answer.set_result(each.job.id not in not_taken)


def _fail(asked: Sequence[_Asked], error: Exception) -> None:
    """Give each who waits an error of its own: a traceback grows as it is raised."""
    for position, each in enumerate(asked):
        if not each.answer.done():
            each.answer.set_exception(error if position == 0 else _like(error))


def _like(error: Exception) -> Exception:
    if not isinstance(error, StoreError):
        return error
    same = type(error)(*error.args)
    same.__cause__ = error.__cause__
    return same
