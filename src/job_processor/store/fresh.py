"""Jobs of one claim of which each is made only where somebody looks at it.

Of a batch that is run by one call most are never looked at: what their handler gets are payloads,
and their ends are written by one statement.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, overload

from bson import ObjectId

from job_processor.models import Job


class Fresh(Sequence[Job], ABC):
    """Jobs of one name that were claimed together, and have never run before.

    What differs between them is an id, a payload, two times and a priority: nothing else is to be
    known of any. All run under one fence, which is that of the claim.
    """

    def __init__(self, name: str, worker_id: ObjectId, claimed_at: datetime) -> None:
        self.name = name
        self.worker_id = worker_id
        self.claimed_at = claimed_at
        """The `started_at` and `updated_at` of all."""

    @property
    @abstractmethod
    def keys(self) -> Sequence[bytes]:
        """The bytes of their ids, in their order."""

    @abstractmethod
    def payloads(self) -> list[Any]:
        """Return their payloads in the same order, made anew by each call."""

    @abstractmethod
    def scheduled(self) -> Iterable[datetime]:
        """Give the moments for which they were scheduled, in the same order."""

    @cached_property
    def jobs(self) -> Sequence[Job]:
        """The jobs, made at the first look."""
        return self._jobs()

    @abstractmethod
    def _jobs(self) -> Sequence[Job]: ...

    def ids(self) -> list[ObjectId]:
        """Return their ids."""
        return [ObjectId(key) for key in self.keys]

    @cached_property
    def key_set(self) -> frozenset[bytes]:
        """The bytes of their ids, to look one up."""
        return frozenset(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    @overload
    def __getitem__(self, index: int) -> Job: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Job]: ...

    def __getitem__(self, index: int | slice) -> Job | Sequence[Job]:
        return self.jobs[index]
