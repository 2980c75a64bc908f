"""What a handler may ask of the jobs that its own came after: how they ended, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.errors import InvalidArgumentError, JobFailed, JobNotFoundError
from job_processor.models import BaseJob, JobStatus, object_id

if TYPE_CHECKING:
    from job_processor.handlers.context import Recorder
    from job_processor.models import Job


@dataclass(frozen=True, slots=True)
class ParentResult:
    """What is read of a job for one that came after it."""

    id: ObjectId
    name: str
    status: JobStatus
    error: str | None
    result: Any
    is_kept: bool
    """False where its definition says `discard_result`."""


class ParentResults:
    """Reads the results of the jobs that one came after, when its handler asks for them."""

    def __init__(self, job: Job, recorder: Recorder) -> None:
        self._job = job
        self._recorder = recorder

    async def all(self) -> dict[ObjectId, Any]:
        """Return the results of those that have finished, by id."""
        return _by_id(await self._recorder.results(self._job.parents))

    def all_sync(self) -> dict[ObjectId, Any]:
        """Do the same from a thread."""
        return _by_id(self._recorder.results_sync(self._job.parents))

    async def one(self, parent: object) -> Any:
        """Return the result of one of them."""
        job_id = self._known(parent)
        return _one(job_id, await self._recorder.results([job_id]))

    def one_sync(self, parent: object) -> Any:
        """Do the same from a thread."""
        job_id = self._known(parent)
        return _one(job_id, self._recorder.results_sync([job_id]))

    def _known(self, parent: object) -> ObjectId:
        job_id = parent.id if isinstance(parent, BaseJob) else object_id(parent, "parent")
        if job_id not in self._job.parents:
            known = ", ".join(map(str, self._job.parents)) or "none"
            allowed = f"allowed are the jobs that this one came after: {known}"
            raise InvalidArgumentError("parent", str(job_id), allowed)
        return job_id


def _by_id(found: Sequence[ParentResult]) -> dict[ObjectId, Any]:
    finished = [each for each in found if each.status is JobStatus.FINISHED]
    return {each.id: _result(each) for each in finished}


def _one(job_id: ObjectId, found: Sequence[ParentResult]) -> Any:
    if not found:
        raise JobNotFoundError(job_id)
    (parent,) = found
    if parent.status is not JobStatus.FINISHED:
        raise JobFailed(parent.name, parent.id, parent.status.value, parent.error)
    return _result(parent)


def _result(parent: ParentResult) -> Any:
    if not parent.is_kept:
        allowed = (
            "its result was asked for by a job that came after it, and is not kept; leave "
            "discard_result out where it is defined, or do not ask for its result"
        )
        raise InvalidArgumentError("discard_result", parent.name, allowed)
    return parent.result
