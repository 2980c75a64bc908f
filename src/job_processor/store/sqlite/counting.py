"""How many jobs there are: in each state, of all names or of some, in one statement each."""

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


def names_statement(at_rest: str, running: str) -> str:
    """Return what counts each type and name of ?1 in each state of ?2, each up to ?3.

    Both are JSON. Whatever is asked for, what runs is counted of all names: it is not much.
    """
    type, name = (f"json_extract(given.value,'$[{place}]')" for place in (0, 1))
    return f"""
        SELECT {type}, {name}, state.value, (SELECT count(*) FROM (
            SELECT 1 FROM {at_rest}
            WHERE job.type={type} AND job.name={name} AND job.status=state.value AND {AT_REST}
            LIMIT ?3))
        FROM json_each(?1) AS given CROSS JOIN json_each(?2) AS state
        UNION ALL
        SELECT type, name, 'running', min(count(*), ?3) FROM {running} WHERE {RUNNING}
        GROUP BY type, name"""
