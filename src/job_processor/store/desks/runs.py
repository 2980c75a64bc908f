"""Jobs that run: what they keep, and how they end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bson import ObjectId

from job_processor.models import SETTLED, Job, Notes, Step
from job_processor.redaction import Redaction
from job_processor.store.desks.desk import Desk
from job_processor.store.fresh import Fresh
from job_processor.store.hints import Hint, told
from job_processor.store.lanes import freed_by
from job_processor.store.requests import Outcome, Settlement, Verdict
from job_processor.store.summaries import JobSummary
from job_processor.store.waits import ends_of


class Runs(Desk, ABC):
    """Jobs that run: what they keep, and how they end."""

    async def settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Running, under the fence's worker and at its attempt → the outcome's state.

        Each is guarded on its own. Won are those that hold exactly what was to be written (so a
        repetition after a lost reply says the same), refused those that cannot be stored as they
        are, which keeps no other from being written; the rest were taken away. A run of which this
        worker did not know that another job comes after it is settled all the same, and whoever
        comes after what has ended is released.
        """
        if not settlements:
            return Verdict()
        verdict = await self._settle(settlements)
        if verdict.followed:
            verdict = await self._settle_followed(settlements, verdict)
        won = settlements
        if len(verdict.won) < len(settlements):
            won = [each for each in settlements if each.job.id in verdict.won]
        self._tell(*told([(each.job.id, each.outcome.status) for each in won]))
        if self.lanes.book:
            await self._pass_on(_freed_by(won))
        await self._let_go(
            ends_of(
                each.written()
                for each in (won if not verdict.followed else _as_followed(won, verdict.followed))
                if each.job.followed and each.job.id in verdict.won
            )
        )
        members = [each for each in won if each.job.group is not None]
        await self._left(each.job.group for each in members if each.outcome.status in SETTLED)
        waits = [each.outcome for each in won if each.outcome.topics]
        if waits:
            await self.messages.waited(waits)
        return verdict

    async def settle_together(self, fresh: Fresh, outcome: Outcome) -> bool:
        """Running, under the fence of their claim → the outcome's state, settled without a result.

        False where it is not known that all of them hold it, since one was taken away or is
        followed by another job: then each is to be settled by itself, whether it was written or
        not.
        """
        whole = await self._settle_together(fresh, outcome)
        if whole:
            self._tell(Hint.SETTLED, fresh.ids())
        return whole

    def _settle_together(self, fresh: Fresh, outcome: Outcome) -> Awaitable[bool]:
        return self._settle_each(fresh, outcome)

    async def _settle_each(self, fresh: Fresh, outcome: Outcome) -> bool:
        ends = [Settlement(job, outcome, fresh.worker_id) for job in fresh]
        return len((await self._settle(ends)).won) == len(ends)

    async def _settle_followed(
        self, settlements: Sequence[Settlement], verdict: Verdict
    ) -> Verdict:
        """Settle those that only missed because somebody has begun to follow them."""
        missed = [each for each in settlements if each.job.id not in verdict.won]
        again = [each for each in _as_followed(missed, verdict.followed) if each.job.followed]
        if not again:
            return verdict
        second = await self._settle(again)
        return Verdict(
            verdict.won | second.won, {**verdict.refused, **second.refused}, verdict.followed
        )

    @abstractmethod
    def _settle(self, settlements: Sequence[Settlement]) -> Awaitable[Verdict]: ...

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> Mapping[ObjectId, str]:
        """Running, under the job's worker and at its attempt → the same, with these notes.

        Each is guarded on its own; one that was taken away stays as it is. Returns the jobs whose
        notes cannot be stored, and why; the others' are.
        """
        return await self._save_notes(noted) if noted else {}

    @abstractmethod
    def _save_notes(
        self, noted: Sequence[tuple[Job, Notes]]
    ) -> Awaitable[Mapping[ObjectId, str]]: ...

    @abstractmethod
    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under the job's worker and at its attempt → the same, with this state.

        False when it was taken away. The state stays until the job is retried by hand.
        """

    @abstractmethod
    async def save_step(self, job: Job, step: Step) -> bool:
        """Running, under the job's worker and at its attempt → the same, with one step more.

        False when it was taken away. A repetition after a lost reply leaves the step as it is. It
        stays until the job is retried from its beginning.
        """

    @abstractmethod
    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last; None when none was, or there is no such job."""

    async def of_worker(
        self,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId] = (),
        *,
        unconfirmed: bool = False,
    ) -> list[Job]:
        """Return what is running under this worker's id and not in `exclude`, at most `limit`.

        With `unconfirmed` also what a claim has written and the database may still lose: for giving
        back, never for running.
        """
        return await self._of_worker(worker_id, limit, exclude, unconfirmed) if limit > 0 else []

    @abstractmethod
    def _of_worker(
        self, worker_id: ObjectId, limit: int, exclude: Collection[ObjectId], unconfirmed: bool
    ) -> Awaitable[list[Job]]: ...

    async def summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what `of_worker` returns."""
        return await self._summaries(worker_id, limit, redaction) if limit > 0 else []

    @abstractmethod
    def _summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    @abstractmethod
    async def move(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Running under `old` → running under `new`; return all ids running under `new`."""

    @abstractmethod
    async def workers(self) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""


def _freed_by(ended: Iterable[Settlement]) -> set[str | None]:
    """Return the lanes in which these have freed a slot; None stands for no lane."""
    freed = set[str | None]()
    for each in ended:
        job = each.job
        if job.slot is not None:  # of a lane with an order some keep it
            freed.add(job.lane if job.ordered is None else freed_by(job, each.written()))
    return freed


def _as_followed(
    settlements: Iterable[Settlement], followed: Collection[ObjectId]
) -> list[Settlement]:
    """Return settlements, those of these jobs with a copy that knows it is followed."""
    return [
        Settlement(replace(each.job, followed=True), each.outcome, each.writer)
        if each.job.id in followed
        else each
        for each in settlements
    ]
