"""Many jobs in chunks of one write each: a chunk is made while the one before is being stored."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeAlias

from bson import ObjectId

from job_processor.errors import BulkError, InvalidArgumentError, Unshown
from job_processor.jobs.request import JobRequest, ShortRequest, request_of
from job_processor.models import OnConflict, SimpleJob
from job_processor.settings import SCHEDULE_BATCH
from job_processor.tasks import cancel

Request: TypeAlias = JobRequest | ShortRequest
Requests: TypeAlias = Iterable[Request] | AsyncIterable[Request]
OnProgress: TypeAlias = Callable[[int], Awaitable[object] | object]

_ALLOWED = (
    "allowed is an iterable, plain or async, of names, (name, payload), (name, payload, "
    "scheduled_for) and JobRequest: write [name] for a single one, and list(payloads.items()) for "
    "a mapping of names to payloads"
)
_SLICE = 100
"""Jobs that are made without a pause, so that the event loop is never held up for long."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Jobs of one write."""

    start: int
    """The position of the first among all."""
    jobs: list[SimpleJob]
    rules: dict[ObjectId, OnConflict | None]
    """What was given to follow where a unique key is held."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The position of each among all."""
        return tuple(range(self.start, self.start + len(self.jobs)))


class Bulk:
    """Makes and stores one chunk after the other.

    Args:
        make: makes the job that is asked for; raises InvalidArgumentError.
        store: stores a chunk; raises BulkError for one of which a part may be stored.
        on_progress: called, or awaited, with the number of jobs stored so far.
        keep: whether the jobs are to be returned.
    """

    def __init__(
        self,
        make: Callable[[JobRequest], SimpleJob],
        store: Callable[[Chunk], Coroutine[None, None, list[SimpleJob]]],
        on_progress: OnProgress | None,
        *,
        keep: bool,
    ) -> None:
        self._make = make
        self._store = store
        self._on_progress = on_progress
        self._keep = keep
        self._kept: list[SimpleJob] = []
        self._written = 0
        self._chunk: Chunk | None = None
        self._storing: asyncio.Task[list[SimpleJob]] | None = None

    async def run(self, requests: Requests) -> list[SimpleJob]:
        """Return the jobs as they are stored, in order."""
        try:
            async for start, requested in _chunks(requests):
                await self._add(start, requested)
                if isinstance(requests, AsyncIterable):  # who knows when it brings the next one
                    await self._until_stored()
            await self._until_stored()
        except Exception:  # of the source, too: what it gave before is stored all the same
            await self._until_stored()
            raise
        finally:
            if self._storing is not None:
                await cancel([self._storing])
        return self._kept

    async def _add(self, start: int, requested: list[Request]) -> None:
        """Make a chunk, and begin to store it once the one before is stored."""
        positions = tuple(range(start, start + len(requested)))
        try:
            chunk = await self._make_chunk(start, requested)
        except InvalidArgumentError as error:
            await self._until_stored(positions)
            if self._written == 0:
                raise
            raise BulkError(self._written, positions, ()) from error
        await self._until_stored(positions)
        self._chunk = chunk
        self._storing = asyncio.create_task(self._store(chunk))
        await asyncio.sleep(0)  # what is made next comes after its first step

    async def _make_chunk(self, start: int, requested: list[Request]) -> Chunk:
        jobs: list[SimpleJob] = []
        rules: dict[ObjectId, OnConflict | None] = {}
        while len(jobs) < len(requested):
            done = len(jobs)
            some = requested[done : done + _SLICE]
            for position, given in enumerate(some, start + done):
                request = request_of(given, position)
                try:
                    job = self._make(request)
                except InvalidArgumentError as error:
                    error.args = (f"jobs[{position}]: {error}",)
                    raise
                jobs.append(job)
                if job.unique_key is not None:
                    rules[job.id] = request.on_conflict
            await asyncio.sleep(0)
        return Chunk(start, jobs, rules)

    async def _until_stored(self, taken: tuple[int, ...] = ()) -> None:
        """Wait for the chunk that is being stored.

        taken: positions of what was taken from the source since, which is lost if that fails.
        """
        chunk, storing = self._chunk, self._storing
        if chunk is None or storing is None:
            return
        await asyncio.wait([storing])  # not the task itself, which may lose a cancellation of ours
        self._chunk = self._storing = None
        try:
            stored = storing.result()
        except BulkError as error:
            error.written += self._written
            error.not_written += taken
            raise
        except InvalidArgumentError as error:
            if self._written == 0:
                raise
            raise BulkError(self._written, chunk.positions + taken, ()) from error
        self._written += len(stored)
        if self._keep:
            self._kept += stored
        if self._on_progress is not None:
            answer = self._on_progress(self._written)
            if inspect.isawaitable(answer):
                await answer


async def _chunks(requests: Requests) -> AsyncIterator[tuple[int, list[Request]]]:
    """Give the requests in lists, each with the position of its first."""
    if isinstance(requests, AsyncIterable):
        start, chunk = 0, []
        async for request in requests:
            chunk.append(request)
            if len(chunk) == SCHEDULE_BATCH:
                yield start, chunk
                start, chunk = start + len(chunk), []
        if chunk:
            yield start, chunk
        return
    if not isinstance(requests, Iterable) or isinstance(requests, Mapping | str | bytes):
        raise InvalidArgumentError("jobs", Unshown(requests), _ALLOWED)
    iterator = iter(requests)
    for start in count(step=SCHEDULE_BATCH):
        chunk = list(islice(iterator, SCHEDULE_BATCH))
        if not chunk:
            return
        yield start, chunk
