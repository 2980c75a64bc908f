"""What is done to jobs and crons that are there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

from bson import ObjectId

from job_processor.crons.manage import CronInfo, get_crons, remove_cron, run_cron
from job_processor.errors import InvalidArgumentError
from job_processor.facade.base import Base
from job_processor.facade.internal import audit_of
from job_processor.jobs.actions import Acted, Acting, Action, Actions, Did
from job_processor.jobs.pauses import KIND, Pauses, setting_key, worker_key
from job_processor.jobs.selection import query_of
from job_processor.models import CronTask, Job, object_id
from job_processor.ops.audit import AuditEntry
from job_processor.settings import check_int


class Control(Base):
    """Killing, sending round again, pausing, and crons by hand."""

    @property
    def _actions(self) -> Actions:
        return Actions(self._store, self._clock, self._events)

    async def kill_job(self, job_id: ObjectId | str) -> Job:
        """Kill a waiting job at once, ask the worker of a running one to stop it.

        Returns the job as it then stands; a settled one stays as it ended. Raises
        JobNotFoundError.
        """
        self._ready()
        (did,) = await self._actions.kill([object_id(job_id)])
        return _job_of(did)

    async def retry_job(self, job_id: ObjectId | str) -> Job:
        """Send a settled job round again, now, with all its attempts; return it pending.

        Raises JobNotFoundError, JobStateError when it is not settled, and JobConflictError when it
        is exclusive and another one of its name is active.
        """
        self._ready()
        (did,) = await self._actions.retry([object_id(job_id)])
        return _job_of(did)

    async def pause(self, name: str | None = None, *, tag: str | None = None) -> None:
        """Let no worker begin anything of a name of jobs or crons, or of a tag; until `resume`.

        It is kept in the database and seen by all workers within a second; what runs already goes
        on. A paused cron plans nothing; what it missed is judged by its `misfire` when it goes on.
        Twice is harmless. Raises InvalidArgumentError unless it is one name or one tag.
        """
        self._ready()
        key = setting_key(name, tag)
        await self._store.put_setting(KIND, key, {"since": self._clock.now()}, None)

    async def resume(self, name: str | None = None, *, tag: str | None = None) -> None:
        """End a pause, as it was made: by name or by tag; harmless when there is none.

        Raises InvalidArgumentError unless it is one name or one tag.
        """
        self._ready()
        await self._store.remove_setting(KIND, setting_key(name, tag))

    async def get_pauses(self) -> Pauses:
        """Return the names and tags that are paused."""
        self._ready()
        return Pauses.of(await self._store.settings(KIND))

    async def get_crons(self) -> list[CronInfo]:
        """Return all crons of the database by name, each with its next five times."""
        self._ready()
        return await get_crons(self._store, self.registry, self._clock)

    async def run_cron(self, name: str) -> CronTask:
        """Let a cron run now, once, beside its schedule; return the task as it is stored.

        Pending, or skipped when the cron is exclusive and one is active. A worker that serves it
        runs it; one that is paused waits. Raises UnknownJobError when the database has no such
        cron.
        """
        self._ready()
        task = await run_cron(self._store, self.registry, self._clock, self._stamps, name)
        self._events.tell_stored([task])
        return task

    async def remove_cron(self, name: str) -> None:
        """Remove a cron that no worker lists any more, now; what waits of it is skipped.

        What runs goes on, and the history stays. Without this, it plans nothing from an hour after
        its last worker on, and goes after `history_days`. Raises UnknownJobError when the database
        has no such cron, JobStateError while a worker lists it, and SharedDatabaseError when it is
        the Node package's.
        """
        self._ready()
        await remove_cron(self._store, name)

    async def stop_worker(self, worker_id: ObjectId | str) -> None:
        """Ask a worker, wherever it is, to stop gracefully; it sees it within a second.

        Raises InvalidArgumentError when no worker of this id is registered.
        """
        self._ready()
        id = object_id(worker_id, "worker_id")
        registrations = await self._store.registrations()
        if all(worker.id != id for worker in registrations.workers):
            raise InvalidArgumentError("worker_id", worker_id, "allowed is one that is registered")
        await self._store.put_setting(KIND, worker_key(id), {"since": self._clock.now()}, None)

    async def delete_job(self, job_id: ObjectId | str) -> None:
        """Remove a job that does not run, for good.

        Raises JobNotFoundError, and JobStateError while it runs: kill it first.
        """
        self._ready()
        (did,) = await self._actions.delete([object_id(job_id)])
        if did.refusal is not None:
            raise did.refusal

    async def act_on_jobs(
        self,
        action: Action,
        job_ids: Iterable[ObjectId | str] | None = None,
        *,
        on_progress: Callable[[int], object] | None = None,
        **selection: Any,
    ) -> Acted:
        """Retry, kill or delete many jobs: those of `job_ids`, or those of a selection.

        action: `retry`, `kill` or `delete`.
        on_progress: called after each 500 jobs with the number that was looked at so far.
        selection: what `find_jobs` takes to select. Jobs that come meanwhile are left alone.

        Returns what was done. Jobs to which it cannot be done (to retry what waits, to delete what
        runs) are left as they are and counted. Raises InvalidArgumentError.
        """
        self._ready()
        if action not in get_args(Action):
            allowed = "allowed are 'retry', 'kill' and 'delete'"
            raise InvalidArgumentError("action", action, allowed)
        if (job_ids is None) == (not selection):
            allowed = "allowed is one of the two: job_ids, or what find_jobs takes"
            raise InvalidArgumentError("job_ids", job_ids, allowed)
        acting = Acting(self._store, self._actions, action, on_progress)
        if job_ids is not None:
            return await acting.on([object_id(each, "job_ids") for each in job_ids])
        query = query_of(self.registry, **selection)
        with self._searches.one(query):
            return await acting.on_all(query)

    async def add_audit(self, who: str, action: str, subject: str) -> None:
        """Note that somebody did something, for `get_audit`; it is kept for 90 days, and logged."""
        self._ready()
        async with audit_of(self).doing(who, action, subject):
            pass

    async def get_audit(self, limit: int = 1000) -> list[AuditEntry]:
        """Return the last of who did what by the dashboard, the latest first."""
        self._ready()
        check_int("limit", limit, minimum=1)
        return await audit_of(self).entries(limit)


def _job_of(did: Did) -> Job:
    """Return the job; raise why nothing was done, where there is none to return."""
    if did.job is not None:
        return did.job
    assert did.refusal is not None  # noqa: S101  # one of the two is there
    raise did.refusal
