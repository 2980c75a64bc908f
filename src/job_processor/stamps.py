"""What integrations add to a job before it is stored, for whoever runs or rescues it elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from job_processor.models import BaseJob, Job, make
from job_processor.texts import storable

Stamp: TypeAlias = Callable[[Job], Mapping[str, Any] | None]
"""Returns fields of the job's model with their values; None: nothing is added."""
AnyJob = TypeVar("AnyJob", bound=BaseJob)


class Stamps:
    """The stamps of one processor. One that fails is logged and harms nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._stamps: tuple[Stamp, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._stamps)

    def add(self, stamp: Stamp) -> Callable[[], None]:
        """Ask `stamp` for each job from now on; returns a function that ends it."""
        self._stamps = (*self._stamps, stamp)

        def forget() -> None:
            self._stamps = tuple(other for other in self._stamps if other is not stamp)

        return forget

    def on(self, job: AnyJob) -> AnyJob:
        """Return the job with what all of them add; the job itself when that is nothing."""
        for stamp in self._stamps:
            try:
                added = stamp(job)  # type: ignore[arg-type]  # a job is one of the two models
            except BaseException:  # whatever it is, the job is stored
                self._logger.exception("a stamp failed on job %r (%s)", job.name, job.id)
                continue
            if added:
                plain = {name: _kept(value) for name, value in added.items()}
                job = make(type(job), {**job.__dict__, **plain})
        return job


def _kept(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
