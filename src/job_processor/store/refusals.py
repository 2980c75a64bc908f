"""What a database that is shared with the Node package cannot keep of a job, and why.

Its validator refuses every field beyond its own. A feature that needs one is refused when it is
defined or scheduled, and not at the first failure of a job at midnight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from job_processor.errors import SharedDatabaseError
from job_processor.models import SimpleJob

_FIELDS = {
    "group": "group, open_in",
    "limit": "lane, slots",
    "after": "after, waiting_for",
    "a key of a rate": "rate_lane",
    "flow": "flow, flow_name",
    "labels": "labels",
    "retry": "attempt, attempts",
    "context": "notes, state, steps",
    "step": "steps",
    "message": "steps, topics",
    "priority": "priority",
    "expires_at": "expires_at",
    "unique_key": "unique_key, unique_until",
}
"""The fields of a job's document that a feature needs, beyond those of the Node package."""


def refuse(argument: str, value: Any, feature: str) -> None:
    """Raise the SharedDatabaseError of a feature that needs a field that Node's validator lacks."""
    raise SharedDatabaseError(
        argument,
        value,
        f"{feature} needs a field of a job ({_FIELDS[feature]}) that the validator of the Node "
        "package, which works on this database too, refuses. Leave it out, or use a database or a "
        "collection_prefix of its own; once no Node process starts any more, `job-processor "
        "migrate-from-node --apply` takes that validator away",
    )


def kept_beside_node(job: SimpleJob) -> SimpleJob:
    """Return a new job with the fields that Node's validator takes.

    A trace is no reason to refuse a plain job. Raises SharedDatabaseError for what else it has.
    """
    if job.priority:
        refuse("priority", job.priority, "priority")
    if job.expires_at is not None:
        refuse("expires_at", job.expires_at, "expires_at")
    if job.lane is not None:
        refuse("limit", job.lane, "limit")
    if job.rate_lane is not None:
        refuse("rate", job.rate_lane, "a key of a rate")
    if job.flow is not None:
        refuse("flow", job.flow_name, "flow")
    if job.labels:
        refuse("labels", list(job.labels), "labels")
    if job.after:
        refuse("after", [*map(str, job.parents)] or list(job.after), "after")
    if job.group is not None:
        refuse("group", job.group, "group")
    if job.unique_key is not None:
        refuse("unique_key", job.unique_key, "unique_key")
    return job if job.traceparent is None else replace(job, traceparent=None)
