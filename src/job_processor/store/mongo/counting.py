"""Counts of jobs as pipelines: of each name and state, and of each state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from job_processor.models import JobStatus, JobType
from job_processor.store.mongo.documents import JOB_STATUSES, Document
from job_processor.store.mongo.selections import selected
from job_processor.store.requests import JobQuery


def state_pipelines(cap: int) -> list[list[Document]]:
    """Return a pipeline for each state that stops counting at `cap`.

    Occurrences of crons that wait for their time do not count.
    """
    return [
        [
            {"$match": selected(JobQuery(status=JobStatus(status), planned=False))},
            {"$limit": cap},
            {"$group": {"_id": status, "count": {"$sum": 1}}},
        ]
        for status in JOB_STATUSES
    ]


def count_pipelines(
    names: Sequence[tuple[JobType, str]], statuses: Collection[str], cap: int
) -> Iterator[list[Document]]:
    """Give a pipeline for each name and state that stops counting at `cap`."""
    for type, name in names:
        for status in statuses:
            key = {"type": type, "name": name, "status": status}
            yield [
                {"$match": key},
                {"$limit": cap},
                {"$group": {"_id": {"$literal": key}, "count": {"$sum": 1}}},
            ]
