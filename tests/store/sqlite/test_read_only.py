"""A file that becomes read-only while it is open, and writable again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from job_processor import JobStatus, StoreUnavailableError
from job_processor.store.sqlite import SqliteStore
from tests.processors import WAIT, Processors, eventually
from tests.samples import WORKER, claim, end, simple, worker
from tests.store.sqlite.test_moved_files import move
from tests.store.sqlite.unprivileged import unprivileged


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a process that is not root's may make a database."""
    with unprivileged() as folder:
        yield folder / "jobs.db"


@pytest.fixture
async def processors(path: Path) -> AsyncIterator[Processors]:
    """Makes processors on the file at `path`."""
    async with Processors(f"sqlite:///{path}") as made:
        yield made


async def test_reads_go_on_and_writes_wait(path: Path) -> None:
    """What may not be written fails as what may pass, and does not when it has passed."""
    store = SqliteStore(path)
    await store.setup()
    await store.workers.register(worker(id=WORKER))
    ours = simple()
    await store.intake.insert([ours])
    [run] = await store.queue.claim(claim(10))
    path.chmod(0o444)
    away = path.with_name("away.db")
    move(path, away)
    with pytest.raises(StoreUnavailableError):
        await store.ping()  # the open connection, which may still write, is given up
    move(away, path)
    pulse = store.open_pulse()
    for write in (
        lambda: store.runs.settle([end(run)]),
        lambda: store.intake.insert([simple()]),
        lambda: asyncio.to_thread(pulse.beat, WORKER),
    ):
        with pytest.raises(StoreUnavailableError, match="read-only") as caught:
            await write()
        assert str(path) in str(caught.value)
    assert await store.history.get(ours.id) == run
    path.chmod(0o644)
    assert (await store.runs.settle([end(run)])).won == {ours.id}
    assert await asyncio.to_thread(pulse.beat, WORKER)
    pulse.close()
    await store.close()


async def test_a_worker_goes_on_when_it_may_write_again(
    processors: Processors, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers end meanwhile, and their ends are written without a restart."""
    processor = await processors.make(worker_timeout=30.0)
    begun, may_end = asyncio.Event(), asyncio.Event()

    @processor.job()
    async def wait() -> None:
        begun.set()
        await may_end.wait()

    await processors.worker(processor)
    ours = await processor.schedule_job("wait")
    await begun.wait()
    path.chmod(0o444)
    away = path.with_name("away.db")
    move(path, away)
    may_end.set()

    # Each connection has to give up what it has open: the reader's, the writer's, the heartbeat's.
    with pytest.raises(StoreUnavailableError):
        await processor.get_job(ours.id)

    async def complains() -> bool:
        return "settlement of 1" in caplog.text and "heartbeat" in caplog.text

    await eventually(complains)
    move(away, path)

    async def refused() -> bool:
        try:
            await processor.schedule_job("wait")
        except StoreUnavailableError as error:
            return "read-only" in str(error)
        return False

    await eventually(refused)
    job = await processor.get_job(ours.id)
    assert job is not None
    assert job.status is JobStatus.RUNNING
    path.chmod(0o644)
    settled = await processor.wait_for_job(ours.id, timeout=WAIT)
    assert settled.status is JobStatus.FINISHED
