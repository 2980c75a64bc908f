"""The synchronous client: many threads, forks, interruptions, on both stores."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    Event,
    EventKind,
    InvalidArgumentError,
    JobConflictError,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobProcessorError,
    JobStatus,
    JobTimeoutError,
    Limit,
    StoreUnavailableError,
    UnknownJobError,
)
from job_processor.sync import JobClient, portal_of
from tests.processors import QUICK, WAIT

JOBS = {"a": JobDef(None)}


@pytest.fixture
def client(db_url: str) -> Iterator[JobClient]:
    """A client of a fresh database."""
    with JobClient(db_url, jobs=JOBS, poll_interval=0.2) as made:
        yield made


def test_its_calls_are_those_of_the_processor(client: JobClient) -> None:
    """What goes in comes out: job, many jobs, options, errors."""
    job = client.schedule_job("a", {"n": 1}, timedelta(hours=1), priority=3, unique_key="k")
    assert client.get_job(str(job.id)) == job
    with pytest.raises(JobConflictError):
        client.schedule_job("a", unique_key="k", on_conflict="error")
    assert client.kill_job(job.id).status is JobStatus.KILLED
    assert client.wait_for_job(job.id).status is JobStatus.KILLED
    many = client.schedule_jobs(("a", {"n": n}) for n in range(3))
    assert [each.payload for each in many] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert client.schedule_jobs(["a"], return_jobs=False) == []
    assert client.get_job(ObjectId()) is None
    with pytest.raises(JobNotFoundError):
        client.kill_job(ObjectId())
    with pytest.raises(UnknownJobError):
        client.schedule_job("b")
    with pytest.raises(JobTimeoutError):
        client.wait_for_job(many[0].id, timeout=0.05)


def test_limits_and_rates_are_changed_and_seen(db_url: str) -> None:
    """From plain code, for all workers, as by the processor."""
    jobs = {"a": JobDef(None, limit=Limit(2, key="t"), rate="1/s")}
    with JobClient(db_url, jobs=jobs) as client:
        client.schedule_job("a", {"t": "x"})
        client.set_limit("a", 5)
        (limit,) = client.limits(1)
        assert (limit.amount, [lane.lane for lane in limit.lanes]) == (5, ["a:x"])
        client.set_rate("a", "7/m")
        client.hold("a", 60)
        (rate,) = client.rates()
        assert (str(rate.rate), rate.held_for > 0, rate.waiting) == ("7/m", True, 1)


def test_it_waits_for_a_worker(db_url: str) -> None:
    """A job that a worker of the application runs: with its definitions, in another loop."""
    import asyncio  # noqa: PLC0415  # of this test alone

    processor = JobProcessor(db_url, **QUICK)

    @processor.job()
    def double(payload: dict[str, int]) -> int:
        return payload["n"] * 2

    with JobClient(processor) as client, ThreadPoolExecutor() as threads:
        job = client.schedule_job("double", {"n": 4})
        waiting = threads.submit(client.wait_for_job, job.id, WAIT)

        async def work() -> None:
            async with processor:
                await processor.run_worker(burst=True)

        asyncio.run(work())
        assert waiting.result().result() == 8


def test_many_threads_share_it(client: JobClient) -> None:
    """All of them begin at once: one connection is made, each job is stored once."""
    start = threading.Barrier(20)

    def schedule(n: int) -> ObjectId:
        start.wait()
        return client.schedule_job("a", {"n": n}).id

    with ThreadPoolExecutor(20) as threads:
        ids = list(threads.map(schedule, range(20)))
    assert len(set(ids)) == 20
    assert [name for name in _thread_names() if name == "job-client"] == ["job-client"]
    assert [getattr(client.get_job(each), "payload", None) for each in ids] == [
        {"n": n} for n in range(20)
    ]


def test_waiting_threads_hold_up_nobody(client: JobClient) -> None:
    """While many wait for a job, others schedule and kill it."""
    job = client.schedule_job("a")
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(client.wait_for_job, job.id, WAIT) for _ in range(20)]
        client.kill_job(job.id)
        assert {each.result().status for each in waiting} == {JobStatus.KILLED}


def test_it_can_be_closed_and_used_again(client: JobClient) -> None:
    """Its thread ends; a later call makes a new one. Twice is harmless."""
    job = client.schedule_job("a")
    client.close()
    client.close()
    assert "job-client" not in _thread_names()
    assert client.get_job(job.id) == job


def test_closing_ends_the_calls_of_other_threads(client: JobClient) -> None:
    """One that waits is told so, and does not wait for ever."""
    job = client.schedule_job("a")
    heard = threading.Event()
    forget = client._processor.listen(lambda event: heard.set())  # the loop is alive
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(client.wait_for_job, job.id)
        client.schedule_job("a")
        assert heard.wait(WAIT)
        client.close()
        with pytest.raises(JobProcessorError, match="closed during this call"):
            waiting.result(WAIT)
    forget()


async def test_calls_of_an_event_loop(client: JobClient) -> None:
    """They leave the loop free, and end like the others when the client is closed."""
    portal, begun = portal_of(client), threading.Event()
    assert await portal.call_async(lambda processor: processor.find_jobs()) is not None

    async def hang(_: JobProcessor) -> None:
        begun.set()
        await asyncio.Event().wait()

    calls = [asyncio.create_task(portal.call_async(hang)) for _ in range(2)]
    await asyncio.to_thread(begun.wait, WAIT)
    calls[0].cancel()
    await asyncio.to_thread(client.close)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert isinstance(answers[1], JobProcessorError)


def test_calls_and_closings_at_the_same_time(client: JobClient) -> None:
    """Each call comes to its end or is told that it was closed; none waits for ever."""

    def schedule(n: int) -> bool:
        try:
            client.schedule_job("a", {"n": n})
        except JobProcessorError as error:
            assert "closed during this call" in str(error)  # noqa: PT017  # both ends are right
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(schedule, n) for n in range(60)]
        for _ in range(10):
            client.close()
        ends = [call.result(WAIT) for call in calls]
    assert len(ends) == 60
    assert schedule(0)
    client.close()
    assert "job-client" not in _thread_names()


def test_a_call_from_its_own_loop_is_refused(client: JobClient) -> None:
    """A listener that called it would wait for itself."""
    seen: list[str] = []

    def listener(event: Event) -> None:
        with pytest.raises(JobProcessorError, match="its own event loop") as caught:
            client.schedule_job("a")
        seen.append(str(caught.value))

    client._processor.listen(listener)
    client.schedule_job("a")
    assert len(seen) == 1


def test_integrations_hear_of_it(db_url: str) -> None:
    """What listens to the application's processor hears what its client schedules."""
    heard: list[EventKind] = []
    processor = JobProcessor(db_url, jobs=JOBS)
    processor.listen(lambda event: heard.append(event.kind))
    with JobClient(processor) as client:
        client.schedule_job("a")
    assert heard == [EventKind.SCHEDULED]


def test_an_unreachable_database_is_told_each_time() -> None:
    """It is tried anew with each call."""
    with JobClient("mongodb://127.0.0.1:1/app?serverSelectionTimeoutMS=50", jobs=JOBS) as client:
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                client.schedule_job("a")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("sqlite://",), {}, "db: 'sqlite://' .* a server or a file"),
        ((JobProcessor("sqlite://"),), {}, "db: 'sqlite://' .* a server or a file"),
        ((JobProcessor("sqlite:///x.db"),), {"jobs": {}}, "options: .* with a JobProcessor"),
        (("redis://",), {}, "db: 'redis://'"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    """A database in memory, options beside a processor: told when the client is made."""
    with pytest.raises(InvalidArgumentError, match=message):
        JobClient(*arguments, **options)


FORKS = """
import os, sys, threading
from job_processor import JobDef
from job_processor.sync import JobClient

client = JobClient(sys.argv[1], jobs={"a": JobDef(None)})
if sys.argv[2] == "used":
    client.schedule_job("a", {"of": "parent"})

    def busy():
        while not stop.is_set():
            client.schedule_job("a", {"of": "busy"})

    stop = threading.Event()
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()

children = []
for n in range(6):
    pid = os.fork()
    if pid == 0:
        def work(n):
            job = client.schedule_job("a", {"of": n})
            assert client.get_job(job.id).payload == {"of": n}
        threads = [threading.Thread(target=work, args=(n,)) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        if n % 2:
            client.close()
        sys.exit(0)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
if sys.argv[2] == "used":
    stop.set()
    for thread in threads: thread.join()
job = client.schedule_job("a", {"of": "parent"})
assert client.get_job(job.id) == job
print("codes", codes)
"""


_LEFT_OPEN = """
import sys
from job_processor import JobDef
from job_processor.sync import JobClient
client = JobClient(sys.argv[1], jobs={"a": JobDef(None)})
client.schedule_job("a")
"""


def test_a_program_that_ends_without_closing(db_url: str) -> None:
    """It says nothing: its connections end with it, also where it starts no thread any more."""
    done = subprocess.run(
        [sys.executable, "-c", _LEFT_OPEN, db_url],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
@pytest.mark.parametrize("before", ["fresh", "used"])
def test_forks(db_url: str, before: str) -> None:
    """Forked while its threads are busy: parent and children all go on, each job is stored."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, db_url, before],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT * 2,
    )
    assert done.stdout == "codes [0, 0, 0, 0, 0, 0]\n", done.stderr
    assert done.stderr == ""
    with JobClient(db_url, jobs=JOBS) as client:
        client.schedule_job("a")

        async def of_children(processor: JobProcessor) -> list[Any]:
            found, after = [], None
            while True:
                page = await processor.find_jobs(limit=1000, after=after)
                found += [getattr(job, "payload", None) for job in page.jobs]
                if page.next is None:
                    return found
                after = page.next

        stored = [each["of"] for each in client._call(of_children) if each is not None]
    assert sorted(of for of in stored if isinstance(of, int)) == sorted([*range(6)] * 3)
    assert stored.count("parent") == 1 + (before == "used")


def _thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]
