"""Selections of jobs as statements that an index answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from job_processor.clock import FAR, to_ms
from job_processor.settings import LAST_ENDED
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite.tables import AT_REST, OF_FLOW, OF_GROUP, OF_LANE, Tables

BEHIND_EVERY_ID = b"\xff" * 13  # an id has 12 bytes

NOT_PLANNED = "AND NOT (job.type='cron_task' AND job.status IN ('pending','paused'))"
"""What a condition goes on with: the job is no occurrence of a cron that waits for its time."""

Source: TypeAlias = tuple[str, list[Any]]
"""A statement with its values, which may stand in another one."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the jobs of a lane, a group, a flow, a label and a time are read, by an index."""

    lanes: str
    groups: str
    flows: str
    labels: str
    ended: str
    has_labels: str
    """What a condition goes on with: the job has all labels of a list."""

    @classmethod
    def of(cls, tables: Tables) -> Sources:
        """Return those of these tables."""
        jobs = f"{tables.jobs} AS job"
        return cls(
            lanes=f"{jobs} INDEXED BY {tables.lane_history}",
            groups=f"{jobs} INDEXED BY {tables.members}",
            flows=f"{jobs} INDEXED BY {tables.flow_history}",
            labels=f"{tables.labels} AS mark CROSS JOIN {jobs} ON job.id=mark.job",
            ended=f"""(
                SELECT rowid AS row FROM {tables.jobs} INDEXED BY {tables.ended}
                WHERE ended_at IS NOT NULL AND ended_at>=?12 AND ended_at<?13
                ORDER BY ended_at DESC LIMIT {LAST_ENDED}
                ) AS span CROSS JOIN {jobs} ON job.rowid=span.row""",
            has_labels=f"""AND NOT EXISTS (
                SELECT 1 FROM json_each(?11) AS wanted WHERE NOT EXISTS (
                    SELECT 1 FROM {tables.labels} AS other
                    WHERE other.label=wanted.value AND other.job=job.id))""",
        )


def of_some(query: JobQuery, sources: Sources, limit: int) -> Source:
    """Return a statement that selects the jobs of a lane, group, flow, label or time, in order."""
    group, flow, id = query.group, query.flow, "job.id"
    if group is not None:
        source, of_these = sources.groups, f"group_id=?9 AND {OF_GROUP}"
    elif flow is not None:
        source, of_these = sources.flows, f"flow=?10 AND {OF_FLOW}"
    elif query.lane is not None:
        source, of_these = sources.lanes, f"lane=?7 AND {OF_LANE}"
    elif not query.labels:
        source, of_these = sources.ended, "true"
    else:
        source, of_these, id = sources.labels, "mark.label=json_extract(?11,'$[0]')", "mark.job"
    statement = f"""
        SELECT {id} AS id, job.rowid AS place FROM {source}
        WHERE {of_these} AND {id}<?1 AND {id}>?2 AND (?3 IS NULL OR job.name=?3)
            AND (?4 IS NULL OR job.status=?4) AND (?5 IS NULL OR job.type=?5)
            AND (?6 IS NULL OR job.name IN (SELECT value FROM json_each(?6)))
            AND (?7 IS NULL OR job.lane=?7) AND (?9 IS NULL OR job.group_id=?9)
            AND (?10 IS NULL OR job.flow=?10) {sources.has_labels if query.labels else ""}
            {"" if query.planned else NOT_PLANNED}
            {"AND job.ended_at>=?12 AND job.ended_at<?13" if query.is_of_a_time else ""}
        ORDER BY {id} {"ASC" if query.oldest_first else "DESC"} LIMIT ?8"""
    below = BEHIND_EVERY_ID if query.after is None else query.after.binary
    above = b"" if query.above is None else query.above.binary
    status = None if query.status is None else query.status.value
    names = None if query.names is None else json.dumps(query.names)
    keys = [None if key is None else key.binary for key in (group, flow)]
    values = [below, above, query.name, status, query.type, names, query.lane, limit, *keys]
    if query.labels or query.is_of_a_time:
        values.append(json.dumps(query.labels))
    if query.is_of_a_time:
        first, behind = query.ended_from, query.ended_to
        values += [
            0 if first is None else to_ms(first),
            to_ms(FAR) if behind is None else to_ms(behind),
        ]
    return statement, values


def branches_in_turn(at_rest: str) -> str:
    """Return what reads the branches of a JSON list one after the other, as far as the limit."""
    return (
        f"SELECT job.id AS id, job.rowid AS place FROM json_each(?) AS branch "
        f"CROSS JOIN {at_rest} ON {_of_branch('job')} AND job.id<? AND job.id>? LIMIT ?"
    )


def newest_of_branches(tables: Tables) -> str:
    """Return what gives type, name and id of the newest ?2 jobs of each branch of the JSON list ?1.

    As far as the last of these, which a jump into the index finds.
    """
    job, last = (f"{tables.jobs} AS {each} INDEXED BY {tables.history}" for each in ("job", "last"))
    return f"""
        SELECT job.type, job.name, job.id FROM json_each(?1) AS branch
        CROSS JOIN {job} ON {_of_branch("job")} AND job.id>=coalesce((
            SELECT last.id FROM {last} WHERE {_of_branch("last")}
            ORDER BY last.id DESC LIMIT 1 OFFSET ?2-1), x'')"""


def _of_branch(job: str) -> str:
    """Return the condition for a job of a branch, which is JSON."""
    terms = (
        f"{job}.{column}=json_extract(branch.value,'$[{place}]')"
        for place, column in enumerate(("type", "name", "status"))
    )
    return " AND ".join([*terms, f"{job}.{AT_REST}"])


def branches_statement(at_rest: str, merged: int, order: str, running: str) -> str:
    """Return what merges so many branches, each read in the order of its index.

    running: a statement about those that run, with the first values, which is merged as well.
    """
    term = (
        f"SELECT id, rowid AS place FROM {at_rest} "
        f"WHERE type=? AND name=? AND status=? AND {AT_REST} AND id<? AND id>?"
    )
    first = [f"SELECT id, place FROM ({running})"] if running else []
    united = " UNION ALL ".join([*first, *[term] * merged])
    return f"{united} ORDER BY id {order} LIMIT ?"
