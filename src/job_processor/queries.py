"""What a store is asked for: a worker's claim, a selection of jobs, a page of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from job_processor.models import Job, JobStatus, JobType


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker asks the store for."""

    worker_id: ObjectId
    names: tuple[str, ...]
    """The names that it may take, at most `settings.CLAIM_NAMES` of them."""
    limit: int
    now: datetime
    exclude: frozenset[ObjectId] = frozenset()
    """Jobs of which it still holds an unconfirmed settlement or a living thread."""
    overdue_since: datetime | None = None
    """Take only what was due by then, the longest wait first, whatever its priority."""

    @property
    def due_by(self) -> datetime:
        """What was due by then may be taken."""
        return self.now if self.overdue_since is None else self.overdue_since


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A selection of jobs by id, newest first; a field that is None does not filter."""

    name: str | None = None
    status: JobStatus | None = None
    type: JobType | None = None
    limit: int = 50
    after: ObjectId | None = None
    """Only ids below it."""
    above: ObjectId | None = None
    """Only ids above it."""
    oldest_first: bool = False
    names: tuple[str, ...] | None = None
    """Only of one of these names."""
    worker_id: ObjectId | None = None
    error: str | None = None
    """Only with this text in its error, whatever the case."""
    payload: tuple[tuple[str, ...], str] | None = None
    """Only with this value, as text, at this path of its payload."""

    max_bytes: int | None = None
    """No more jobs than have so many bytes together, but one at least; None: whatever they have."""

    @property
    def looks_through(self) -> bool:
        """True when no index tells, so that only the first jobs of the selection are looked at."""
        return self.worker_id is not None or self.error is not None or self.payload is not None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first unless it was asked for otherwise."""

    jobs: tuple[Job, ...]
    next: str | None
    """Pass it as `after` for the page that follows; None at the end."""
    previous: str | None = None
    """Pass it as `before` for the page before; None at the beginning."""
