"""Jobs that a claim leaves alone for a while, since the database refuses them as running ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from job_processor.store.mongo.desks import Plumbing
from job_processor.store.mongo.errors import DOCUMENT_VALIDATION_FAILURE, told

_SECONDS = 600.0
"""How long a job that the validator or a unique index of the user's refuses is left alone."""


class Aside:
    """What one kind of claim leaves alone: another kind writes other fields, and may have it."""

    def __init__(self, plumbing: Plumbing) -> None:
        self._name = plumbing.handles.jobs.name
        self._logger = plumbing.logger
        self._until: dict[ObjectId, float] = {}

    def put(self, job_id: ObjectId, error: Mapping[str, Any]) -> None:
        """Leave a job alone for a while, which cannot be claimed as it stands."""
        self._until[job_id] = time.monotonic() + _SECONDS
        who = f"the validator of {self._name} refuses it as it is"
        self._logger.warning(
            "job %s is left alone for %.0f minutes: %s",
            job_id,
            _SECONDS / 60,
            who if error.get("code") == DOCUMENT_VALIDATION_FAILURE else told(error),
        )

    def ids(self) -> list[ObjectId]:
        """Return the jobs that are left alone."""
        if self._until:
            now = time.monotonic()
            self._until = {job_id: until for job_id, until in self._until.items() if until > now}
        return list(self._until)
