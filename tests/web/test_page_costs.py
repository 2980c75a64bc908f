"""What each page costs, of all that there are: statements and bytes, counted on a busy database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from starlette.routing import Route

from job_processor import CronDef, JobDef, JobProcessor, Retry
from job_processor.models import JobStatus, Output
from job_processor.store.error_groups import ErrorGroup
from job_processor.store.losses import KIND, Loss
from job_processor.store.name_rollups import Kind, NameRollup
from job_processor.store.rollups import HOUR, MINUTE, TEN_MINUTES, Rollup, start_of
from job_processor.web import create_app
from job_processor.web.app import _routes
from tests.definitions import nothing
from tests.insides import store_of
from tests.samples import WORKER, occurrence, settled, simple, worker
from tests.web.conftest import client_of
from tests.web.costs import MOST_BYTES, MOST_STATEMENTS, asked, counted

NAMES = [f"a_name_of_some_length_{n:03}" for n in range(120)]
JOBS = {
    name: JobDef(nothing, tag=f"tag_{n % 9}", limit=2 if n % 5 == 0 else None, retry=Retry(2))
    for n, name in enumerate(NAMES)
}
CRONS = {f"cron_{n:02}": CronDef(f"{n} * * * *", nothing) for n in range(40)}

MINUTE_, HOUR_ = timedelta(minutes=1), timedelta(hours=1)

NO_PAGE = {"/live", "/healthz", "/scaling", "/metrics"}
"""What is answered otherwise than by a page."""

QUERIES: Mapping[str, list[str]] = {
    "/jobs": ["", "?status=errored", f"?name={NAMES[0]}", "?tag=tag_0", "?ended_from=2020-01-01"],
    "/name": [f"?name={NAMES[0]}"],
    "/cron": ["?name=cron_00"],
    "/tag": ["?tag=tag_0"],
    "/limit": [f"?name={NAMES[0]}"],
    "/lane": [f"?lane={NAMES[0]}"],
    "/new": [f"?name={NAMES[0]}"],
    "/schedule": [f"?name=of:{NAMES[0]}"],
}
"""How a page is asked for, where its path alone does not say of what."""


def pages() -> list[str]:
    """Return the paths of all pages, as they are registered: a new one is among them."""
    paths = [
        each.path for each in _routes() if isinstance(each, Route) and "GET" in (each.methods or ())
    ]
    return sorted({each for each in paths if not each.startswith("/api/")} - NO_PAGE)


async def fill(processor: JobProcessor) -> dict[str, ObjectId]:
    """Store much of everything; return the ids of what pages are of."""
    store, now = store_of(processor), datetime.now(UTC)
    error = "ConnectionError: the bank refused an invoice: try again later"
    output = Output("5ms", None, error)
    ended = [
        settled(name, status=JobStatus.ERRORED, started_at=now, output=output) for name in NAMES
    ]
    run: dict[str, Any] = {
        "status": JobStatus.RUNNING,
        "worker_id": WORKER,
        "started_at": now,
    }
    running = [simple(name, **run) for n, name in enumerate(NAMES[:60]) if n % 5]
    await store.intake.insert([*ended, *running, *(occurrence(name, at=now) for name in CRONS)])
    await processor.schedule_jobs([(name, {"n": 1}) for name in NAMES])
    flow = processor.flow("import")
    first = flow.add(NAMES[1])
    for name in NAMES[2:40]:
        flow.add(name, after=[first])
    members = await flow.start()
    async with processor.group() as group:
        for name in NAMES[:60]:
            await group.add(name)
    for name in NAMES[:40]:
        await processor.pause(name)
        await processor.put_schedule(f"of:{name}", job=name, every=3600)
        await processor.add_audit("ada", "pause", name)
    for n in range(30):
        await store.workers.register(worker(id=ObjectId(), names=tuple(NAMES), pid=n))
        loss = Loss(ObjectId(), f"lost-{n}:1", now, now, n)
        await store.settings.put(KIND, str(loss.worker_id), loss.as_setting(), None)
    await store.rollups.add(*tallied(now))
    flow_id = members[0].flow
    assert flow_id is not None
    return {"/jobs/{id}": ended[0].id, "/flows/{id}": flow_id, "/groups/{id}": group.id}


def tallied(now: datetime) -> tuple[list[Rollup], list[NameRollup], list[ErrorGroup]]:
    """Return what workers have counted: every minute of the last hours, of every name."""
    counts = {"finished": 123_456, "errored": 1234, "retried": 12, "missed": 1}
    delays, ran = {9: 1, 40: 5}, {30: 6}
    named = [
        NameRollup("name", name, seconds, start_of(now, seconds), counts, delays, ran)
        for name in NAMES
        for seconds in (MINUTE, HOUR)
    ]
    kinds: list[tuple[Kind, str]] = [("all", ""), ("tag", "tag_0")]
    of_all, of_tag = (
        [
            NameRollup(kind, name, seconds, start_of(now - n * span, seconds), counts, delays, ran)
            for seconds, count, span in ((MINUTE, 120, MINUTE_), (HOUR, 170, HOUR_))
            for n in range(count)
        ]
        for kind, name in kinds
    )
    day = [
        Rollup(TEN_MINUTES, start_of(now - 10 * n * MINUTE_, TEN_MINUTES), counts, {"a": 99_999})
        for n in range(144)
    ]
    errors = [
        ErrorGroup(NAMES[0], start_of(now, HOUR), f"{n} {'<&>' * 60}", 9, ObjectId(), now)
        for n in range(50)
    ]
    return day, [*named, *of_all, *of_tag], errors


async def test_each_page_costs_little(db_url: str) -> None:
    """Whatever pages there are: at most twelve statements, under 60 KB, on a busy database."""
    told: dict[str, tuple[int, int]] = {}
    async with counted(db_url, jobs=JOBS, crons=CRONS) as (processor, statements):
        ids = await fill(processor)
        async with client_of(create_app(processor)) as client:
            paths = [path.format(id=ids.get(path)) for path in pages()]
            for path in (p + query for p in paths for query in QUERIES.get(p, [""])):
                await client.get(path)  # what is asked once
                statements.made.clear()
                answer = await client.get(path)
                assert answer.status_code == 200, path
                told[path] = len(asked(statements)), len(answer.content)
    assert len(told) > 20
    assert {path: cost for path, cost in told.items() if cost[0] > MOST_STATEMENTS} == {}
    assert {path: cost for path, cost in told.items() if cost[1] >= MOST_BYTES} == {}
