"""A flow for synchronous code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.jobs.flows import Flow
from job_processor.jobs.portal import Portal
from job_processor.models import SimpleJob

T = TypeVar("T")


class ClientFlow:
    """A flow for synchronous code: what `Flow` has, without `await`."""

    def __init__(self, flow: Flow, portal: Portal) -> None:
        self._flow = flow
        self._portal = portal

    def __repr__(self) -> str:
        return repr(self._flow)

    @property
    def id(self) -> ObjectId:
        """What `kill_flow`, `retry_flow` and `get_flow` take."""
        return self._flow.id

    @property
    def name(self) -> str:
        """What it is called where it is shown."""
        return self._flow.name

    @property
    def jobs(self) -> tuple[SimpleJob, ...]:
        """What was added so far, in that order; as it is stored, once it has started."""
        return self._flow.jobs

    def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Add a job, as `Flow.add` does."""
        added: SimpleJob = self._call(lambda: self._flow.add(job, payload, **options))
        return added

    def add_many(self, job: Any, payloads: Iterable[Any], **options: Any) -> Sequence[SimpleJob]:
        """Add a job for each payload, as `Flow.add_many` does."""
        return self._call(lambda: self._flow.add_many(job, payloads, **options))

    def start(self) -> list[SimpleJob]:
        """Store all of it, as `Flow.start` does."""
        return self._portal.call(lambda _: self._flow.start())

    def _call(self, call: Callable[[], T]) -> T:
        async def called(_: object) -> T:
            return call()

        return self._portal.call(called)
