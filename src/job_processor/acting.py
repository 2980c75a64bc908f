"""One action on many jobs, in bounded steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from bson import ObjectId

from job_processor.actions import Actions
from job_processor.queries import JobQuery
from job_processor.store import Store

Action: TypeAlias = Literal["retry", "kill", "delete"]
_STEP = 500


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an action on many jobs."""

    done: int
    """Jobs to which it was done."""
    left: int
    """Jobs to which it could not be done."""


class Acting:
    """Does one action to jobs, a step of them at a time."""

    def __init__(
        self,
        store: Store,
        actions: Actions,
        action: Action,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        self._store = store
        steps = {"retry": actions.retry, "kill": actions.kill, "delete": actions.delete}
        self._do = steps[action]
        self._on_progress = on_progress

    async def on(self, job_ids: Sequence[ObjectId]) -> Acted:
        """Do it to these."""
        acted = Acted(0, 0)
        for start in range(0, len(job_ids), _STEP):
            acted = self._sum(acted, await self._step(job_ids[start : start + _STEP]))
        return acted

    async def _step(self, job_ids: Sequence[ObjectId]) -> Acted:
        did = await self._do(job_ids)
        done = sum(each.refusal is None for each in did)
        return Acted(done, len(did) - done)

    async def on_all(self, query: JobQuery) -> Acted:
        """Do it to all of a selection, the newest first, as it was when this began."""
        acted, step = Acted(0, 0), replace(query, limit=_STEP, after=query.after)
        while jobs := await self._store.find_summaries(step):
            acted = self._sum(acted, await self._step([job.id for job in jobs]))
            step = replace(step, after=jobs[-1].id)
        return acted

    def _sum(self, before: Acted, more: Acted) -> Acted:
        """Return both together, and tell how far that is."""
        acted = Acted(before.done + more.done, before.left + more.left)
        if self._on_progress is not None:
            self._on_progress(acted.done + acted.left)
        return acted
