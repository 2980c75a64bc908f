"""How many jobs there are in each state, of all names, in one statement."""

from __future__ import annotations

from job_processor.models import WAITING, JobStatus
from job_processor.store.sqlite.tables import AT_REST, RUNNING

STATUSES_AT_REST = tuple(
    status for status in JobStatus if status not in (JobStatus.RUNNING, JobStatus.ACTIVE)
)
_SIMPLE = " AND known.type='simple'"
_KINDS = "SELECT type, name FROM kind WHERE name IS NOT NULL"


def states_statement(kinds: str, at_rest: str, running: str) -> str:
    """Return the statement, each count exact up to its second value.

    kinds: gives the types and names that there are; its value, the first one, is how many at most.
    Occurrences of crons that wait for their time do not count.
    """
    counts = [
        f"SELECT '{status.value}', (SELECT count(*) FROM (SELECT 1 FROM known "
        f"CROSS JOIN {at_rest} ON job.type=known.type AND job.name=known.name "
        f"WHERE job.status='{status.value}' AND {AT_REST}"
        f"{_SIMPLE if status in WAITING else ''} LIMIT ?2))"
        for status in STATUSES_AT_REST
    ]
    some = f"SELECT 1 FROM {running} WHERE {RUNNING} LIMIT ?2"
    runs = f"SELECT 'running', (SELECT count(*) FROM ({some}))"
    known = f", known AS MATERIALIZED ({_KINDS}) "
    return kinds.replace(_KINDS, known + " UNION ALL ".join([*counts, runs]))
