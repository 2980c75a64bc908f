"""Jobs that come after others: in their row what they wait for, in a table who comes after what.

The row is the truth. That table is how it is found: `open` is 1 as long as a job may wait for a
tag, and is taken back by whoever finds that it does not.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.models import FOR_A_PARENT, JobStatus, RelatedJob
from job_processor.store.desks.waits import Waits
from job_processor.store.lenient import texts_of
from job_processor.store.sqlite.codec import decode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    page,
    transaction,
    verb,
)
from job_processor.store.sqlite.intake import follow_in
from job_processor.store.sqlite.rows import Row, encode_output
from job_processor.store.sqlite.tables import (
    ACTIVE,
    HAS_LANE,
    LINE,
    OF_FLOW,
    OUT_OF_GROUP,
    OUT_OF_PLACE,
    WAITING,
)
from job_processor.store.waits import (
    End,
    Node,
    Released,
    end_of,
    is_skipped,
    skipped_output,
)

_ABOVE_ALL = b"\xff" * 13
"""More than any id."""

_RULE = "json_extract(job.extra, '$.on_parent_failure')"


class SqliteWaits(SqliteDesk, Waits):
    """Each pass of a release is one transaction, so nothing happens between its look and write."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs, waits = tables.jobs, tables.waits
        open_waits = f"{waits} AS wait INDEXED BY {tables.open_waits}"
        self._mark = f"UPDATE {jobs} SET followed=1 WHERE id=? AND {ACTIVE} AND followed IS NULL"
        self._state = f"SELECT status FROM {jobs} WHERE id=?"
        self._waiting = f"""
            SELECT wait.job, {_RULE}, job.followed, job.{WAITING} AND job.waiting_for IS NOT NULL
            FROM {open_waits} LEFT JOIN {jobs} AS job ON job.id=wait.job
            WHERE wait.tag=?1 AND wait.open=1 AND (?2 OR {_RULE} IS NOT 'wait') LIMIT ?3"""
        self._take_off = f"""
            UPDATE {jobs} SET waiting_for=(
                SELECT nullif(json_group_array(value), '[]') FROM json_each(waiting_for)
                WHERE value<>?1)
            WHERE id=?2 RETURNING waiting_for"""
        self._free = f"""
            UPDATE {jobs} SET parked=NULL, line={LINE},
                ready=CASE WHEN {HAS_LANE} THEN due END,
                scheduled_for=CASE WHEN {HAS_LANE} THEN scheduled_for ELSE due END,
                due=CASE WHEN {HAS_LANE} THEN due END
            WHERE id=? AND parked IS NOT NULL AND due IS NOT NULL"""
        self._skip = f"""
            UPDATE {jobs} SET status='skipped', updated_at=max(updated_at, ?1), ended_at=?1,
                output=?2, {OUT_OF_PLACE}, {OUT_OF_GROUP}, waiting_for=json_array(?3)
            WHERE id=?4 RETURNING group_id"""
        self._close = f"UPDATE {waits} SET open=0 WHERE tag=? AND job=?"
        self._next_tag = f"SELECT min(tag) FROM {open_waits} WHERE tag>? AND open=1"
        self._after = f"SELECT job FROM {waits} WHERE tag=? ORDER BY job LIMIT ?"
        self._skipped = f"""
            SELECT job.id, json_extract(job.extra, '$.after') FROM {waits} AS wait
            JOIN {jobs} AS job ON job.id=wait.job
            WHERE wait.tag=?1 AND job.status='skipped' AND job.waiting_for=json_array(?1)
            LIMIT ?2"""
        self._wait_again = f"""
            UPDATE OR IGNORE {jobs} SET status='pending', updated_at=max(updated_at, ?1),
                due=scheduled_for, scheduled_for={to_ms(FAR)}, parked='{FOR_A_PARENT}',
                waiting_for=?2, ended_at=NULL, worker_id=NULL, output=NULL,
                open_in=group_id, failed_in=NULL,
                extra=json_remove(extra, '$.expires_at')
            WHERE id=?3"""
        self._standing = f"""
            SELECT id, name, status,
                CASE WHEN json_valid(output) THEN json_extract(output, '$.error') END
            FROM {jobs} WHERE id=?"""
        self._open = f"UPDATE {waits} SET open=1 WHERE job=?"
        of_flow = f"{jobs} INDEXED BY {tables.flow_history} WHERE flow=? AND {OF_FLOW}"
        self._nodes = f"""
            SELECT id, name, status, json_extract(extra, '$.after'), group_id,
                json_extract(extra, '$.flow_name')
            FROM {of_flow} ORDER BY id {{order}} LIMIT ?"""
        self._next_flow = f"""
            SELECT max(flow) FROM {tables.jobs} INDEXED BY {tables.flow_history}
            WHERE {OF_FLOW} AND flow<?"""
        self._count = f"SELECT name, status, count(*) FROM {of_flow} GROUP BY name, status"

    @transaction
    def _follow(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Mark jobs as followed; return the states of those that exist."""
        ids = [(job_id.binary,) for job_id in job_ids]
        connection.executemany(self._mark, ids)
        rows = [connection.execute(self._state, id).fetchone() for id in ids]
        found = zip(job_ids, rows, strict=True)
        return {job_id: JobStatus(row[0]) for job_id, row in found if row is not None}

    async def follow_in(
        self, session: Any, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Do the same in the transaction of the caller's connection to the same file."""
        path = self._connections.location.path
        return await follow_in(session, path, self._mark, self._state, job_ids)

    @transaction
    def _release(
        self, connection: sqlite3.Connection, ends: Sequence[End], now: datetime, limit: int
    ) -> Released:
        done, seen = Released(), 0
        for end in ends:
            values = (end.tag, end.well or end.gone, limit - seen)
            waiting = connection.execute(self._waiting, values).fetchall()
            seen += len(waiting)
            for row in waiting:
                self._move(connection, end, row, now, done)
            if seen >= limit:
                done.more = True
                break
        if done.freed or done.skipped:
            self._revision.bump(connection)
        return done

    def _move(
        self,
        connection: sqlite3.Connection,
        end: End,
        row: tuple[bytes, str | None, int | None, int | None],
        now: datetime,
        done: Released,
    ) -> None:
        """Let one job go on that waited, or skip it; one that waits no more is left."""
        job_id, rule, followed, waits = row
        connection.execute(self._close, (end.tag, job_id))
        if not waits:
            return
        if is_skipped(rule, end):
            output = encode_output(skipped_output(end, now))
            values = (to_ms(now), output, end.tag, job_id)
            ((group,),) = connection.execute(self._skip, values).fetchall()
            done.groups |= set() if group is None else {ObjectId(group)}
            done.skipped.append(ObjectId(job_id))
            own = end_of(ObjectId(job_id), JobStatus.SKIPPED) if followed else None
            done.ends += [own] if own is not None else []
            return
        (left,) = connection.execute(self._take_off, (end.tag, job_id)).fetchall()[0]
        if left is None:
            connection.execute(self._free, (job_id,))
            done.freed += 1

    @call
    def _waited_for(self, connection: sqlite3.Connection, behind: str, limit: int) -> list[str]:
        tags: list[str] = []
        while len(tags) < limit:
            last = tags[-1] if tags else behind
            (tag,) = connection.execute(self._next_tag, (last,)).fetchone()
            if tag is None:
                break
            tags.append(tag)
        return tags

    @page
    def _followers(self, connection: sqlite3.Connection, tag: str, limit: int) -> list[ObjectId]:
        return [ObjectId(id) for (id,) in connection.execute(self._after, (tag, limit))]

    @page
    def _parents(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> list[RelatedJob]:
        rows = (connection.execute(self._standing, (id.binary,)).fetchone() for id in job_ids)
        return [
            RelatedJob(ObjectId(id), name, JobStatus(status), error)
            for id, name, status, error in (row for row in rows if row is not None)
        ]

    @call
    def _flows(
        self, connection: sqlite3.Connection, below: ObjectId | None, limit: int
    ) -> list[ObjectId]:
        flows: list[ObjectId] = []
        last = _ABOVE_ALL if below is None else below.binary
        while len(flows) < limit:
            (last,) = connection.execute(self._next_flow, (last,)).fetchone()
            if last is None:
                break
            flows.append(ObjectId(last))
        return flows

    @page
    def _graph(
        self, connection: sqlite3.Connection, flow: ObjectId, limit: int, *, newest: bool
    ) -> list[Node]:
        order = "DESC" if newest else "ASC"
        rows = connection.execute(self._nodes.format(order=order), (flow.binary, limit)).fetchall()
        return sorted(map(_node, rows))

    @verb
    @page
    def counts_of_flow(
        self, connection: sqlite3.Connection, flow: ObjectId
    ) -> dict[str, dict[JobStatus, int]]:
        """Count the jobs of a flow by name and state."""
        counts: defaultdict[str, dict[JobStatus, int]] = defaultdict(dict)
        for name, status, count in connection.execute(self._count, (flow.binary,)):
            counts[name][JobStatus(status)] = count
        return dict(counts)

    @verb
    @transaction
    def bring_back(
        self, connection: sqlite3.Connection, tag: str, now: datetime, limit: int
    ) -> dict[ObjectId, tuple[str, ...]]:
        """Let those wait again that were skipped because of this."""
        found = connection.execute(self._skipped, (tag, limit)).fetchall()
        back: dict[ObjectId, tuple[str, ...]] = {}
        for job_id, after in found:
            values = (to_ms(now), after, job_id)
            if connection.execute(self._wait_again, values).rowcount:
                connection.execute(self._open, (job_id,))
                back[ObjectId(job_id)] = tuple(decode(after))
        if back:
            self._revision.bump(connection)
        return back


def _node(row: Row) -> Node:
    job_id, name, status, after, group, flow_name = row
    tags = () if after is None else texts_of(decode(after))
    group_id = None if group is None else ObjectId(group)
    return Node(ObjectId(job_id), name, JobStatus(status), tags, group_id, flow_name)
