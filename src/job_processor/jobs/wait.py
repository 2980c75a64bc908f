"""Waiting for jobs to be settled: all who wait in one event loop ask together.

They are told which jobs have ended, and read those at once. Where nobody is told which, and now and
then in any case, one question asks how all jobs stand that are waited for. The more there are, the
longer the next one is put off: from a hundred on, for half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator

from bson import ObjectId

from job_processor.errors import (
    JobNotFoundError,
    JobTimeoutError,
    NotSetUpError,
    StoreError,
    StoreUnavailableError,
)
from job_processor.models import SETTLED, Job
from job_processor.settings import WAITED_BATCH, WAITED_CROWD, WAITED_PAUSE, Duration, duration
from job_processor.store import Store
from job_processor.store.desks.history import State
from job_processor.tasks import Backoff, set_within


class Waiting:
    """Who waits for jobs of a store, in whichever event loops of this process."""

    def __init__(self, store: Store, poll_interval: float) -> None:
        self._store = store
        self._poll_interval = poll_interval
        self._crowds: dict[asyncio.AbstractEventLoop, _Crowd] = {}

    async def wait(self, job_id: ObjectId, timeout: Duration | None) -> Job:
        """Return the job once it is settled; with a timeout of 0, look once.

        Raises JobNotFoundError, JobTimeoutError after `timeout` seconds (None: never),
        NotSetUpError when this is closed meanwhile, and InvalidArgumentError.
        """
        seconds = None if timeout is None else duration("timeout", timeout, zero=True)
        if seconds == 0:
            return await self._look(job_id)
        loop = asyncio.get_running_loop()
        crowd = self._crowds.get(loop)
        if crowd is None:
            crowd = _Crowd(self._store, self._poll_interval, lambda: self._crowds.pop(loop, None))
            self._crowds[loop] = crowd
        return await crowd.wait(job_id, seconds)

    def close(self) -> None:
        """End all waiting with NotSetUpError."""
        here = asyncio.get_running_loop()
        for loop, crowd in list(self._crowds.items()):
            if loop is here:
                crowd.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(crowd.close)

    async def _look(self, job_id: ObjectId) -> Job:
        try:
            job = await self._store.history.get(job_id)
        except StoreUnavailableError as error:
            raise _timed_out(job_id, 0, None) from error
        if job is None:
            raise JobNotFoundError(job_id)
        if not job.settled:
            raise _timed_out(job_id, 0, State(job.status, job.attempt))
        return job


class _Crowd:
    """Those who wait in one event loop, and the one task that asks for all of them."""

    def __init__(self, store: Store, poll_interval: float, on_empty: Callable[[], object]) -> None:
        self._store = store
        self._poll_interval = poll_interval
        self._on_empty = on_empty
        self._waiters: dict[ObjectId, list[asyncio.Future[Job]]] = {}
        self._seen: dict[ObjectId, State] = {}
        self._named: set[ObjectId] = set()
        """New ones, and those that are said to have ended: they are read at once."""
        self._any_ended = False
        """True when some of them may have ended, and nobody knows which."""
        self._asked_at = 0.0
        """When all of them were asked for, by the time of the event loop."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, job_id: ObjectId, timeout: float | None) -> Job:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Job] = loop.create_future()
        self._waiters.setdefault(job_id, []).append(future)
        self._named.add(job_id)
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name="waiting for jobs")
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError as error:
            raise _timed_out(job_id, timeout, self._seen.get(job_id)) from error
        finally:
            self._leave(job_id, future)

    def close(self) -> None:
        """End the waiting of all."""
        for job_id in list(self._waiters):
            closed = f"the processor was closed while somebody waited for job {job_id}"
            _fail(self._waiters[job_id], NotSetUpError(closed))
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        """Ask until nobody waits any more."""
        forget = self._store.on_ended(self._on_ended)
        self._asked_at = asyncio.get_running_loop().time()
        backoff = Backoff()
        try:
            while self._waiters:
                if not await self._ask():
                    await asyncio.sleep(min(backoff.next(), self._poll_interval))
                    continue
                backoff.reset()
                if self._waiters:
                    await self._pause()
        except Exception as error:  # whoever waits must hear of it, or waits for ever
            for futures in self._waiters.values():
                _fail(futures, error)
            raise
        finally:
            forget()
            self._on_empty()

    def _on_ended(self, job_ids: Collection[ObjectId] | None) -> None:
        if job_ids is None:
            self._any_ended = True
        else:
            ours = self._waiters.keys() & set(job_ids)
            if not ours:
                return
            self._named |= ours
        self._wake.set()

    def _leave(self, job_id: ObjectId, future: asyncio.Future[Job]) -> None:
        futures = self._waiters.get(job_id, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiters.pop(job_id, None)
            self._seen.pop(job_id, None)
            self._named.discard(job_id)
        if not self._waiters:
            self._wake.set()

    # --- asking ---------------------------------------------------------------------------------

    async def _ask(self) -> bool:
        """Read those that are named, and look at all where it is time to; False: do it again."""
        named, self._named = self._named & self._waiters.keys(), set()
        for_all = self._until_all() <= 0
        if for_all:
            self._asked_at, self._any_ended = asyncio.get_running_loop().time(), False
        try:
            if for_all:
                named |= await self._ended_of(self._waiters.keys() - named)
            for job_ids in _batches(named):
                await self._read(job_ids)
        except StoreUnavailableError:
            self._named |= named
            self._any_ended = self._any_ended or for_all
            return False
        return True

    async def _ended_of(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those that are settled, or gone."""
        ended: set[ObjectId] = set()
        for batch in _batches(job_ids):
            try:
                states = await self._store.history.states_of(batch)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                self._fail_all(batch, error)
                continue
            for job_id in batch:
                state = states.get(job_id)
                if state is None or state.status in SETTLED:
                    ended.add(job_id)
                else:
                    self._see(job_id, state)
        return ended

    async def _read(self, job_ids: Collection[ObjectId]) -> None:
        """Give each its job if it is settled."""
        # Whoever comes while this is answered may wait for what was stored in between.
        waiters = {job_id: list(self._waiters.get(job_id, ())) for job_id in job_ids}
        try:
            found = {job.id: job for job in await self._store.history.get_many(job_ids)}
        except StoreUnavailableError:
            raise
        except StoreError as error:
            self._fail_all(job_ids, error)
            return
        for job_id, futures in waiters.items():
            job = found.get(job_id)
            if job is None:
                _fail(futures, JobNotFoundError(job_id))
            elif job.settled:
                _give(futures, job)
            else:
                self._see(job_id, State(job.status, job.attempt))

    def _until_all(self) -> float:
        """Return the seconds until all are asked for."""
        pause = WAITED_PAUSE * min(len(self._waiters) / WAITED_CROWD, 1.0)
        if not self._any_ended:
            pause = max(pause, self._poll_interval)
        return self._asked_at + pause - asyncio.get_running_loop().time()

    async def _pause(self) -> None:
        """Return when there is something to ask, or nobody waits any more."""
        while self._waiters and not self._named and (seconds := self._until_all()) > 0:
            self._wake.clear()
            await set_within(self._wake, seconds)

    # --- answers --------------------------------------------------------------------------------

    def _see(self, job_id: ObjectId, state: State) -> None:
        if job_id in self._waiters:
            self._seen[job_id] = state

    def _fail_all(self, job_ids: Collection[ObjectId], error: StoreError) -> None:
        for job_id in job_ids:
            _fail(self._waiters.get(job_id, ()), error)


def _fail(futures: Iterable[asyncio.Future[Job]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _give(futures: Iterable[asyncio.Future[Job]], job: Job) -> None:
    for future in futures:
        if not future.done():
            future.set_result(job)


def _batches(job_ids: Collection[ObjectId]) -> Iterator[list[ObjectId]]:
    listed = list(job_ids)
    for start in range(0, len(listed), WAITED_BATCH):
        yield listed[start : start + WAITED_BATCH]


def _timed_out(job_id: ObjectId, timeout: float | None, seen: State | None) -> JobTimeoutError:
    state = f"; it is {seen.status}, attempt {seen.attempt}" if seen is not None else ""
    return JobTimeoutError(f"job {job_id} did not end within {timeout or 0:g} s{state}")
