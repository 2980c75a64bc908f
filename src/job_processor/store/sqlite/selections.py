"""Selections of jobs as statements that an index answers."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from job_processor.store.requests import JobQuery
from job_processor.store.sqlite.tables import AT_REST, OF_FLOW, OF_GROUP, OF_LANE

BEHIND_EVERY_ID = b"\xff" * 13  # an id has 12 bytes

Source: TypeAlias = tuple[str, list[Any]]
"""A statement with its values, which may stand in another one."""


def of_some(query: JobQuery, of_lanes: str, of_groups: str, of_flows: str, limit: int) -> Source:
    """Return a statement that selects the jobs of a lane, a group or a flow, in order.

    of_lanes, of_groups, of_flows: the jobs by the index of each.
    """
    group, flow = query.group, query.flow
    if group is not None:
        source, of_these = of_groups, f"group_id=?9 AND {OF_GROUP}"
    elif flow is not None:
        source, of_these = of_flows, f"flow=?10 AND {OF_FLOW}"
    else:
        source, of_these = of_lanes, f"lane=?7 AND {OF_LANE}"
    statement = f"""
        SELECT id, rowid AS place FROM {source}
        WHERE {of_these} AND id<?1 AND id>?2 AND (?3 IS NULL OR name=?3)
            AND (?4 IS NULL OR status=?4) AND (?5 IS NULL OR type=?5)
            AND (?6 IS NULL OR name IN (SELECT value FROM json_each(?6)))
            AND (?7 IS NULL OR lane=?7) AND (?9 IS NULL OR group_id=?9)
            AND (?10 IS NULL OR flow=?10)
        ORDER BY id {"ASC" if query.oldest_first else "DESC"} LIMIT ?8"""
    below = BEHIND_EVERY_ID if query.after is None else query.after.binary
    above = b"" if query.above is None else query.above.binary
    status = None if query.status is None else query.status.value
    names = None if query.names is None else json.dumps(query.names)
    keys = [None if key is None else key.binary for key in (group, flow)]
    values = [below, above, query.name, status, query.type, names, query.lane, limit, *keys]
    return statement, values


def branches_statement(at_rest: str, merged: int, order: str) -> str:
    """Return what merges so many branches, each read in the order of its index."""
    term = (
        f"SELECT id, rowid AS place FROM {at_rest} "
        f"WHERE type=? AND name=? AND status=? AND {AT_REST} AND id<? AND id>?"
    )
    return f"{' UNION ALL '.join([term] * merged)} ORDER BY id {order} LIMIT ?"
