"""The life of a store: made by many at once, shared, closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from job_processor.errors import JobProcessorError
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.opening import open_store
from tests.samples import NOW, WORKER, cron, read, run, simple, worker
from tests.store.contract.conftest import OtherProcesses, Stores


async def test_setup_again_changes_nothing(store: Store, stores: Stores) -> None:
    """What is stored stays as it is, however often and from wherever the store is set up."""
    (running,) = await run(store, simple(payload={"a": 1}))
    waiting = simple(exclusive=True)
    await store.intake.insert([waiting])
    await store.crons.create(cron())
    await store.workers.register(worker(id=WORKER))
    await store.settings.put("owner", "nightly", {"a": 1}, None)
    await store.kills.request(running.id, WORKER, NOW)
    await store.setup()
    another = await stores.open()
    assert await read(another, running, waiting) == [running, waiting]
    assert await another.crons.all() == [cron()]
    assert [each.id for each in (await another.workers.registrations()).workers] == [WORKER]
    assert await another.settings.all("owner") == {"nightly": {"a": 1}}
    assert await another.kills.requested([running.id]) == {running.id}
    refused = simple(exclusive=True)
    assert await another.intake.insert([refused]) == [refused]


async def test_many_set_up_at_once(stores: Stores) -> None:
    """Setups of several stores that run at the same moment all succeed."""
    everyone = await asyncio.gather(*(stores.open() for _ in range(8)))
    job = simple()
    await everyone[0].intake.insert([job])
    for store in everyone:
        assert await read(store, job) == [job]


@pytest.mark.slow
async def test_many_processes_set_up_at_once(others: OtherProcesses, stores: Stores) -> None:
    """Setups of several processes on a fresh database that run at the same moment all succeed."""
    everyone = await asyncio.gather(*(others.start(set_up=False) for _ in range(4)))
    await asyncio.gather(*(each.ask("setup") for each in everyone))
    inserted = {await each.ask("insert", "resize") for each in everyone}
    store = await stores.open()
    assert {str(job.id) for job in await store.queue.due(NOW + timedelta(hours=1), 10)} == inserted
    exclusive = [simple(name="one", exclusive=True) for _ in range(2)]
    assert await store.intake.insert(exclusive) == exclusive[1:]


async def test_prefixes_are_kept_apart(stores: Stores) -> None:
    """Two prefixes in one database see nothing of each other."""
    ours, theirs = [await stores.open(collection_prefix=prefix) for prefix in ("ours", "theirs")]
    job = simple(exclusive=True)
    await ours.intake.insert([job])
    await ours.crons.create(cron())
    await ours.workers.register(worker())
    await ours.settings.put("owner", "nightly", {"a": 1}, None)
    assert await theirs.history.get(job.id) is None
    assert await theirs.crons.all() == []
    assert (await theirs.workers.registrations()).workers == ()
    assert await theirs.settings.all("owner") == {}
    assert await theirs.intake.insert([simple(exclusive=True)]) == []


async def test_the_databases_time_is_aware_and_goes_on(store: Store) -> None:
    """`ping` tells the present time in UTC, to the millisecond; it does not go back."""
    times = [await store.ping() for _ in range(3)]
    assert times == sorted(times)
    assert all(each.tzinfo is UTC and each.microsecond % 1000 == 0 for each in times)
    assert abs(times[0] - NOW) < timedelta(hours=1)


async def test_a_closed_store_says_so(db_url: str) -> None:
    """After `close`, which may be repeated, a verb raises an error of ours and does nothing."""
    store = open_store(db_url, Settings())
    await store.setup()
    store.subscribe(lambda hint: None)
    await store.intake.insert([simple()])
    await store.close()
    await store.close()
    with pytest.raises(JobProcessorError):
        await store.intake.insert([simple()])


async def test_a_store_that_was_never_set_up_closes(db_url: str) -> None:
    """Closing what was only opened is harmless."""
    await open_store(db_url, Settings()).close()


async def test_its_address_names_the_database(store: Store, db_url: str) -> None:
    """The address, which messages show, is found in the URL; several workers may share it."""
    assert store.address.partition("://")[2] or store.address.startswith("/")
    assert store.address in db_url
    assert store.abilities.needs_heartbeat
