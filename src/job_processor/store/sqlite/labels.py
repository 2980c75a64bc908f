"""The labels of jobs: in the row of a job as it has them, and in a table that finds it by them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from job_processor.models import Job
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.tables import Tables


def encode_labels(job: Job) -> str | None:
    """Return the labels of a job as JSON text; None for none."""
    return encode(list(job.labels)) if job.labels else None


def labels_rows(jobs: Iterable[Job]) -> list[tuple[Any, ...]]:
    """Return label and job, of all labels of these jobs."""
    return [(label, job.id.binary) for job in jobs for label in job.labels]


def label_statement(tables: Tables) -> str:
    """Return what notes a label that the job has which is there, unless it is noted."""
    return f"""
        INSERT INTO {tables.labels} (label, job)
        SELECT ?1, ?2 WHERE EXISTS (
            SELECT 1 FROM {tables.jobs} AS job, json_each(job.labels) AS its
            WHERE job.id=?2 AND its.value=?1
        ) ON CONFLICT DO NOTHING"""


def forget_labels_statement(tables: Tables) -> str:
    """Return what forgets the labels of a job."""
    return f"DELETE FROM {tables.labels} INDEXED BY {tables.labels_of} WHERE job=?"
