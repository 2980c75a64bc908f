"""What is done with groups and flows, and the indexes that it may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bson import ObjectId

from job_processor.models import JobStatus
from job_processor.store.groups import Callback, GroupRecord
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW, claim, end, simple
from tests.store.sqlite.recording import Recorder

BY_ID = "sqlite_autoindex_job_processor_jobs_1"
BY_ROW = "the row itself"
OPEN_WAITS = "job_processor_waits_open"
OF_FLOW = "job_processor_jobs_flow_history"
MEMBERS, OPEN_MEMBERS, FAILED_MEMBERS = (
    f"job_processor_jobs_{name}" for name in ("members", "open_members", "failed_members")
)


async def with_group(store: SqliteStore, count: int = 20) -> GroupRecord:
    """Put members into a group, sealed, and forget what that took."""
    group = GroupRecord(id=ObjectId(), created_at=NOW, touched_at=NOW, then=Callback(name="zip"))
    await store.groups.open(group)
    await store.intake.insert([simple("member", group=group.id) for _ in range(count)])
    await store.groups.seal(group.id)
    Recorder.statements.clear()
    return group


async def end_of_group(store: SqliteStore) -> None:
    """End the members of a group, and with the last one the group."""
    group = await with_group(store)
    runs = await store.queue.claim(claim(20, "member"))
    Recorder.statements.clear()
    assert len((await store.runs.settle([end(run) for run in runs])).won) == 20
    record = await store.groups.get(group.id)
    assert record is not None
    assert not record.unfinished


async def look_after_groups(store: SqliteStore) -> None:
    """Do what the sweep does."""
    group = await with_group(store)
    assert await store.groups.unfinished(None, 10)
    await store.groups.mend([group.id])
    await store.groups.look([group.id])


async def members_of_group(store: SqliteStore) -> None:
    """Count, find and list."""
    group = await with_group(store)
    assert await store.groups.counts(group.id)
    assert await store.history.find(JobQuery(group=group.id, status=JobStatus.PENDING))
    assert await store.groups.newest(None, 10)


async def look_at_flow(store: SqliteStore) -> None:
    """Find, count, and what its page shows, from either end."""
    flow = ObjectId()
    await store.intake.insert([simple("load", flow=flow, flow_name="import") for _ in range(20)])
    Recorder.statements.clear()
    assert len(await store.history.find(JobQuery(flow=flow))) == 20
    assert await store.history.count_matching(JobQuery(flow=flow, status=JobStatus.PENDING), 9)
    for newest in (False, True):
        assert len(await store.waits.graph(flow, 10, newest=newest)) == 10
    assert await store.waits.counts_of_flow(flow)
    assert await store.waits.flows(None, 10) == [flow]


OF_GROUPS: dict[str, tuple[Callable[[SqliteStore], Awaitable[Any]], set[str]]] = {
    "the end of a group": (
        end_of_group,
        {OPEN_MEMBERS, FAILED_MEMBERS, BY_ID, OPEN_WAITS},
    ),
    "groups, looked after": (
        look_after_groups,
        {OPEN_MEMBERS, BY_ROW},
    ),
    "find and count members": (members_of_group, {MEMBERS, BY_ID}),
    "find, list, count and draw flows": (look_at_flow, {OF_FLOW, BY_ID}),
}
