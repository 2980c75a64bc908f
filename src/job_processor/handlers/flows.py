"""Flows as people look at them, and as the handler of one of their jobs does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.handlers.groups import GroupCounts
from job_processor.models import SimpleJob

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FlowBox:
    """Jobs of one name on one level of a flow."""

    name: str
    counts: GroupCounts
    job_id: ObjectId | None
    """Of the only one; None: there are several."""
    group: ObjectId | None
    """The group that they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSummary:
    """A flow in counts, without its levels."""

    id: ObjectId
    name: str
    created_at: datetime
    """When its first job was created."""
    counts: GroupCounts
    """The number of its jobs in each state."""

    @property
    def status(self) -> str:
        """`running` until all of its jobs have ended; then `finished` or `errored`."""
        if self.counts.active:
            return "running"
        return "errored" if self.counts.failed else "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowInfo(FlowSummary):
    """A flow with its jobs in levels."""

    levels: tuple[tuple[FlowBox, ...], ...]
    """The jobs without a parent, then their children, and so on; failed ones first in each level.
    """
    is_cut: bool
    """True if it has more than 1,000 jobs: then `levels` has the oldest and the newest 500, and the
    counts of a name that is on several levels cover only these.
    """


class FlowWork(ABC):
    """What a flow asks of the place that a handler runs in."""

    @abstractmethod
    async def extend(self, jobs: Sequence[Any]) -> list[SimpleJob]:
        """Store more jobs of the flow of the run: each a job, its payload and its options."""

    @abstractmethod
    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to, for synchronous code."""


class RunningFlow:
    """The flow that the job of a handler belongs to: `context.flow`.

    What is added comes after what `after` says, also after jobs of the flow that were stored
    before: `await context.flow.add("load", {"part": 7}, after=[context.job])`.
    """

    __slots__ = ("_work", "id", "name")

    def __init__(self, flow_id: ObjectId, name: str, work: FlowWork) -> None:
        self.id = flow_id
        self.name = name
        self._work = work

    def __repr__(self) -> str:
        return f"<flow {self.name!r} ({self.id})>"

    async def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Store a job of this flow; return it as `schedule_job` does.

        job: its name, its handle, or a whole `JobRequest`: `load.request(part=7)`. options: the
            others of `schedule_job`, but `session`.

        Handlers may do so while they run. Raises JobStateError afterwards, and what `schedule_job`
        raises.
        """
        return (await self._work.extend([(job, payload, options)]))[0]

    async def add_many(self, job: Any, payloads: Iterable[Any], **options: Any) -> list[SimpleJob]:
        """Store a job of this flow for each payload."""
        return await self._work.extend([(job, payload, options) for payload in payloads])

    def add_sync(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Do as `add` does, in a plain handler."""
        return self._work.run(self.add(job, payload, **options))

    def add_many_sync(self, job: Any, payloads: Iterable[Any], **options: Any) -> list[SimpleJob]:
        """Do as `add_many` does, in a plain handler."""
        return self._work.run(self.add_many(job, payloads, **options))
