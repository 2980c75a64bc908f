"""The index over what is due, walked from one line to the next: the jobs of a name and priority."""

from __future__ import annotations

from collections.abc import Sequence

from job_processor.store.sqlite.tables import WAITING


def names_statement(due: str) -> str:
    """Return what gives the names of which any job waits, by jumps from one to the next."""
    return f"""
        WITH RECURSIVE waiting(name) AS (
            SELECT min(job.name) FROM {due} WHERE {WAITING}
            UNION ALL
            SELECT (
                SELECT min(job.name) FROM {due} WHERE {WAITING} AND job.name>waiting.name
            ) FROM waiting WHERE waiting.name IS NOT NULL
        )
        SELECT name FROM waiting WHERE name IS NOT NULL"""


def lines_of_names(due: str) -> str:
    """Return what makes `line`: name and priority of each line of the names of ?1, as JSON."""
    return f"""
        WITH RECURSIVE line(name, priority) AS (
            SELECT given.value, (
                SELECT max(job.priority) FROM {due} WHERE job.name=given.value AND {WAITING}
            ) FROM json_each(?1) AS given
            UNION ALL
            SELECT line.name, (
                SELECT max(job.priority) FROM {due}
                WHERE job.name=line.name AND {WAITING} AND job.priority<line.priority
            ) FROM line WHERE line.priority IS NOT NULL
        )"""


def heads_statement(due: str, columns: Sequence[str], first: str) -> str:
    """Return what gives name, priority, and these columns of the first job of each line.

    Of the names of ?1; `first` says what that first job is to be like, and lines without
    such a one are left out.
    """
    of_line = f"job.name=line.name AND {WAITING} AND job.priority=line.priority AND {first}"
    heads = ",".join(
        f"(SELECT job.{column} FROM {due} WHERE {of_line} ORDER BY job.scheduled_for LIMIT 1)"
        for column in columns
    )
    return f"""
        {lines_of_names(due)}
        SELECT * FROM (
            SELECT name, priority, {heads} AS head FROM line WHERE priority IS NOT NULL
        ) WHERE head IS NOT NULL"""
