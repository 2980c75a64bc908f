"""The runs of a service whose workers are gone wait for it, as long as history is kept."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, JobStatus
from job_processor.handlers.registry import Registry
from job_processor.jobs.services import KIND, Listing, list_names, listings
from job_processor.models import Job
from job_processor.settings import ORPHAN_NAME_SECONDS, Settings
from job_processor.store import Store
from job_processor.worker.rescuer import Rescuer
from tests.insides import clock_of, engine_of, store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.deaths import die_holding

KEPT = timedelta(days=90)


async def handler() -> str:
    """Do nothing, well."""
    return "ran"


async def orphan(processors: Processors, service: str, **options: Any) -> tuple[JobProcessor, Job]:
    """Return a service's processor, and a run that a worker of its own left when it died."""
    theirs = await processors.make(
        service=service, jobs={"import": JobDef(handler, resumable=True, **options)}
    )
    job = await theirs.schedule_job("import")
    await die_holding(theirs, ["import"], timeout_s=0.001, known=False)
    return theirs, job


async def after_ten_minutes(processor: JobProcessor, job: Job) -> Rescuer:
    """Return the rescuer of another service, ten minutes after it saw the orphan first."""
    engine = engine_of(processor)
    engine.lease.unbroken_since = lambda: 0.0  # type: ignore[method-assign]
    watching = Rescuer(engine)

    async def seen() -> bool:
        await watching.rescue()
        return job.id in watching._orphaned_since

    await eventually(seen)
    watching._orphaned_since[job.id] -= ORPHAN_NAME_SECONDS
    return watching


async def test_the_run_of_another_service_waits_for_it(processors: Processors) -> None:
    """Y knows nothing of X's jobs, and errors none: X comes back, and its run is resumed."""
    x, job = await orphan(processors, "x")
    y = await processors.make(service="y", jobs={"other": JobDef(handler)})
    engine = engine_of(y)
    async with engine:
        watching = await after_ten_minutes(y, job)
        for _ in range(3):
            assert await watching.rescue() == 0
    waiting = await y.get_job(job.id)
    assert waiting is not None
    assert waiting.status is JobStatus.RUNNING
    (found,) = [each for each in await y.check() if each.subject == "runs of 'import'"]
    assert "service 'x'" in found.text
    await processors.worker(x)
    done = await x.wait_for_job(job.id, timeout=WAIT)
    assert (done.status, done.result()) == (JobStatus.FINISHED, "ran")


async def test_a_name_that_no_service_has_listed_for_long_is_errored(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `history_days` nobody is waited for any more."""
    x, job = await orphan(processors, "x")
    y = await processors.make(service="y", jobs={"other": JobDef(handler)}, history_days=1)
    store = store_of(x)
    listed = (await store.settings.all(KIND))["x"]
    long_ago = [{**each, "at": each["at"] - timedelta(days=2)} for each in listed["names"]]
    assert await store.settings.put(KIND, "x", {"names": long_ago}, listed)
    engine = engine_of(y)
    async with engine:
        watching = await after_ten_minutes(y, job)
        await eventually(watching.rescue)
    done = await y.get_job(job.id)
    assert done is not None
    assert done.status is JobStatus.ERRORED


class Clocked:
    """A store whose clock a test moves, and whose writes of settings are counted."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writes = 0
        self.now: datetime | None = None
        ping, put = store.ping, store.settings.put

        async def told() -> datetime:
            return await ping() if self.now is None else self.now

        async def counted(*arguments: Any) -> bool:
            self.writes += 1
            return await put(*arguments)

        store.ping = told  # type: ignore[method-assign]
        store.settings.put = counted  # type: ignore[method-assign, assignment]


def registry(*names: str) -> Registry:
    """Return definitions of these names."""
    made = Registry({}, {})
    for name in names:
        made.add_job(name, JobDef(handler))
    return made


async def test_names_are_written_when_they_are_news_and_once_a_day(processors: Processors) -> None:
    """Of several programs of one service all are kept, each as long as it was listed lately."""
    processor = await processors.make()
    clocked, settings = Clocked(store_of(processor)), Settings(service="x", history_days=90)
    store, began = clocked.store, clock_of(processor).now()
    clocked.now = began
    await list_names(store, registry("a", "b.c", "$d"), settings)
    await list_names(store, registry("a", "b.c", "$d"), settings)
    await list_names(store, registry("a"), settings)
    assert clocked.writes == 1
    await list_names(store, registry("e"), settings)
    await list_names(store, registry("e"), Settings(service="y"))
    assert clocked.writes == 3
    found = await listings(store, began, KEPT)
    assert found.keys() == {"a", "b.c", "$d", "e"}
    assert found["a"] == Listing("x", began)
    clocked.now = began + timedelta(days=2)
    await list_names(store, registry("a"), settings)
    assert clocked.writes == 4
    later = await listings(store, began + timedelta(days=91), KEPT)
    assert later == {"a": Listing("x", clocked.now)}
    clocked.now = began + timedelta(days=91)
    await list_names(store, registry("a"), settings)
    names = [each["name"] for each in (await store.settings.all(KIND))["x"]["names"]]
    assert names == ["a"]


async def test_who_only_schedules_lists_nothing(processors: Processors) -> None:
    """What has no handler here, nobody here can run."""
    processor = await processors.make(jobs={"a": JobDef(None)}, service="web")
    assert await store_of(processor).settings.all(KIND) == {}


async def test_many_processes_that_start_together_lose_no_name(processors: Processors) -> None:
    """The setting is replaced as it was read, again where another one was quicker."""
    processor = await processors.make()
    stores = [store_of(await processors.make()) for _ in range(8)]
    await asyncio.gather(
        *(
            list_names(store, registry(f"n{number}"), Settings(service="x"))
            for number, store in enumerate(stores)
        )
    )
    found = await listings(store_of(processor), clock_of(processor).now(), KEPT)
    assert found.keys() == {f"n{number}" for number in range(8)}
