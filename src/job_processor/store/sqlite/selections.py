"""Selections of jobs as statements that an index answers."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from job_processor.store.requests import JobQuery
from job_processor.store.sqlite.tables import AT_REST, OF_GROUP, OF_LANE

BEHIND_EVERY_ID = b"\xff" * 13  # an id has 12 bytes

Source: TypeAlias = tuple[str, list[Any]]
"""A statement with its values, which may stand in another one."""


def of_some(query: JobQuery, of_lanes: str, of_groups: str, limit: int) -> Source:
    """Return a statement that selects the jobs of a lane, or the members of a group, in order.

    of_lanes, of_groups: the jobs by the index of either.
    """
    key: Any = query.lane
    source, of_these = of_lanes, f"lane=?1 AND {OF_LANE}"
    if query.group is not None:
        source, of_these = of_groups, f"group_id=?1 AND {OF_GROUP}"
        key = query.group.binary
    statement = f"""
        SELECT id, rowid AS place FROM {source}
        WHERE {of_these} AND id<?2 AND id>?3 AND (?4 IS NULL OR name=?4)
            AND (?5 IS NULL OR status=?5) AND (?6 IS NULL OR type=?6)
            AND (?7 IS NULL OR name IN (SELECT value FROM json_each(?7)))
            AND (?8 IS NULL OR lane=?8)
        ORDER BY id {"ASC" if query.oldest_first else "DESC"} LIMIT ?9"""
    below = BEHIND_EVERY_ID if query.after is None else query.after.binary
    above = b"" if query.above is None else query.above.binary
    status = None if query.status is None else query.status.value
    names = None if query.names is None else json.dumps(query.names)
    values = [key, below, above, query.name, status, query.type, names, query.lane, limit]
    return statement, values


def branches_statement(at_rest: str, merged: int, order: str) -> str:
    """Return what merges so many branches, each read in the order of its index."""
    term = (
        f"SELECT id, rowid AS place FROM {at_rest} "
        f"WHERE type=? AND name=? AND status=? AND {AT_REST} AND id<? AND id>?"
    )
    return f"{' UNION ALL '.join([term] * merged)} ORDER BY id {order} LIMIT ?"
