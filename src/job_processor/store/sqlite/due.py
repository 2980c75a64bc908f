"""The index over what is due, walked from one line to the next: the jobs of a name and priority."""

from __future__ import annotations

from collections.abc import Sequence

from job_processor.clock import LAST_MOMENT, to_ms
from job_processor.store.sqlite.tables import WAITING, Tables

OF_NAMES = "SELECT value AS name FROM json_each(?1)"
"""Gives the names of a JSON list."""


def of_all_but(due: str) -> str:
    """Return what gives the names of which any job waits, by jumps; none of the JSON list ?1."""
    return f"""
        SELECT name FROM (
            WITH RECURSIVE waiting(name) AS (
                SELECT min(job.name) FROM {due} WHERE {WAITING}
                UNION ALL
                SELECT (
                    SELECT min(job.name) FROM {due} WHERE {WAITING} AND job.name>waiting.name
                ) FROM waiting WHERE waiting.name IS NOT NULL
            )
            SELECT name FROM waiting WHERE name IS NOT NULL
        ) WHERE name NOT IN (SELECT value FROM json_each(?1))"""


def lines_of_names(due: str, names: str = OF_NAMES) -> str:
    """Return what makes `line`: name and priority of each line of these names."""
    return f"""
        WITH RECURSIVE line(name, priority) AS (
            SELECT given.name, (
                SELECT max(job.priority) FROM {due} WHERE job.name=given.name AND {WAITING}
            ) FROM ({names}) AS given
            UNION ALL
            SELECT line.name, (
                SELECT max(job.priority) FROM {due}
                WHERE job.name=line.name AND {WAITING} AND job.priority<line.priority
            ) FROM line WHERE line.priority IS NOT NULL
        )"""


def heads_statement(due: str, columns: Sequence[str], first: str, names: str = OF_NAMES) -> str:
    """Return what gives name, priority and earliest time of each line of these names.

    And these columns of the first job that is like `first` says, NULL where there is none.
    """
    of_line = f"job.name=line.name AND {WAITING} AND job.priority=line.priority AND {first}"
    heads = ",".join(
        f"(SELECT job.{column} FROM {due} WHERE {of_line} ORDER BY job.scheduled_for LIMIT 1)"
        for column in columns
    )
    return f"""
        {lines_of_names(due, names)}
        SELECT name, priority, (
            SELECT min(job.scheduled_for) FROM {due}
            WHERE job.name=line.name AND {WAITING} AND job.priority=line.priority
        ), {heads} FROM line WHERE priority IS NOT NULL"""


def claim_statement(
    tables: Tables,
    lines: int,
    excluding: bool,
    by_time: bool,
    columns: str,
    suspects: int | None = None,
) -> str:
    """Return what claims the first due jobs of so many lines; parameters: see `merged_lines`.

    suspects: 1: of the first ones that crashed before only one, at a cost where there are several;
        0: such are passed over, at the cost of a look at the row of each job; None: all of them.
    """
    order = "scheduled_for" if by_time else "priority DESC, scheduled_for"
    merged = merged_lines(tables, lines, order, excluding=excluding, crashed=suspects != 0)
    chosen = f"rowid IN (SELECT number FROM ({merged})) AND {WAITING}"
    if suspects:
        chosen += f"""
            AND (crashes=0 OR rowid=(
                SELECT number FROM ({merged}) JOIN {tables.jobs} AS job ON job.rowid=number
                WHERE job.crashes!=0 LIMIT 1
            ))"""
    # Not indexed: by its row alone, even where an application's ANALYZE found few jobs.
    # A moment that Python cannot tell is none of ours.
    moment = f"CASE WHEN updated_at<{to_ms(LAST_MOMENT)} THEN max(?5,updated_at+1) ELSE ?5 END"
    return f"""
        UPDATE {tables.jobs} NOT INDEXED
        SET status='running', worker_id=?3, updated_at={moment},
            started_at=coalesce(started_at, {moment})
        WHERE {chosen}
        RETURNING {columns}"""


def merged_lines(
    tables: Tables, lines: int, order: str, *, excluding: bool, crashed: bool = True
) -> str:
    """Return what merges lines, each read in the order of the index and only as far as needed.

    Parameters: ?1 until when it was due, ?2 limit, and of a claim ?3 the worker, ?4 the
    excluded ids as JSON, ?5 now; then name and priority of each line.
    """
    # hex(): JSON holds no bytes.
    excluded = "AND hex(id) NOT IN (SELECT value FROM json_each(?4))" if excluding else ""
    excluded += "" if crashed else " AND crashes=0"
    terms = [
        f"SELECT rowid AS number, priority, scheduled_for "
        f"FROM {tables.jobs} INDEXED BY {tables.due} "
        f"WHERE name=?{6 + 2 * i} AND priority=?{7 + 2 * i} AND scheduled_for<=?1 "
        f"AND {WAITING} {excluded}"
        for i in range(lines)
    ]
    return f"{' UNION ALL '.join(terms)} ORDER BY {order} LIMIT ?2"
