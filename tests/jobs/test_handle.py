"""Handles: what a decorated handler is scheduled, run and waited for by."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from job_processor import (
    Context,
    DefinitionError,
    InvalidArgumentError,
    InvalidPayloadError,
    JobDef,
    JobHandle,
    JobProcessor,
    JobProcessorError,
    JobStatus,
    NotSetUpError,
    SimpleJob,
)
from job_processor.jobs.portal import call_in
from tests.processors import Processors
from tests.worker import process_handlers


async def test_fields_all_the_way(processors: Processors) -> None:
    """From a call of `schedule`, by position or name, to the handler's arguments."""
    processor = await processors.make()

    @processor.job
    async def send(context: Context, to: str, subject: str = "hi", *, loud: bool = False) -> str:
        return f"{context.attempt} {to} {subject} {loud}"

    jobs = [
        await send.schedule("ada"),
        await send.schedule("ada", "x", loud=True),
        await send.schedule(subject="y", to="ada"),
        await processor.schedule_job("send", {"to": "ada"}),
        *await processor.schedule_jobs([send.request("ada"), ("send", {"to": "ada"})]),
        *await send.schedule_many([{"to": "ada"}]),
    ]
    assert jobs[1].payload == {"to": "ada", "subject": "x", "loud": True}
    assert jobs[0].payload == jobs[3].payload == {"to": "ada"}
    await processor.run_worker(burst=True)
    results = [(await send.wait(job)).result() for job in jobs]
    plain = "1 ada hi False"
    assert results == [plain, "1 ada x True", "1 ada y False", plain, plain, plain, plain]
    assert (await send.run(to="eve")).result() == "1 eve hi False"


@pytest.mark.parametrize("executor", [None, "process"])
async def test_fields_in_threads_and_processes(processors: Processors, executor: Any) -> None:
    """A plain handler gets them there, too, converted."""
    definition = JobDef(process_handlers.take_fields, executor=executor)
    processor = await processors.make(jobs={"take": definition})
    job = await processor.run_job("take", {"data": {"width": 3}, "on": "2026-03-02"})
    assert job.result() == "Data(width=3) datetime.date(2026, 3, 2) 1 1"


async def test_wrong_fields_are_refused_at_every_door(processors: Processors) -> None:
    """Nothing is stored; one among many is told by its position."""
    processor = await processors.make()

    @processor.job
    async def send(to: str, times: int = 1) -> None: ...

    wrong: list[Any] = [
        lambda: send.schedule(*()),  # type: ignore[call-arg]  # what is tested
        lambda: send.schedule("a", times="x"),  # type: ignore[arg-type]  # the same
        lambda: send.schedule("a", 1, 2),  # type: ignore[call-arg]  # the same
        lambda: send.schedule("a", to="b"),  # type: ignore[misc]  # the same
        lambda: send.schedule({"to": "a"}),  # type: ignore[arg-type]  # the same
        lambda: send.run(3),  # type: ignore[arg-type]  # the same
        lambda: send.schedule_many([{"to": 3}]),
        lambda: processor.schedule_job("send", {"to": 3}),
        lambda: processor.run_job("send", {"tu": "a"}),
    ]
    for call in wrong:
        with pytest.raises(InvalidPayloadError):
            await call()
    with pytest.raises(InvalidPayloadError, match=r"jobs\[1\]: payload\.to"):
        await processor.schedule_jobs([send.request("a"), ("send", {"to": 3})])
    with pytest.raises(InvalidPayloadError, match=r"write send\.schedule\(\*\*payload\)"):
        await send.schedule({"to": "a"})  # type: ignore[arg-type]  # the same
    assert (await processor.find_jobs()).jobs == ()


async def test_wrong_fields_that_were_stored(processors: Processors) -> None:
    """By a process that does not know the handler: errored with the message, not retried."""
    producer = await processors.make(jobs={"take": JobDef(None)})
    job = await producer.schedule_job("take", {"data": {}, "on": "2026-03-02"})
    worker = await processors.make(jobs={"take": JobDef(process_handlers.take_fields, retry=5)})
    await worker.run_worker(burst=True)
    done = await producer.wait_for_job(job.id)
    assert (done.status, done.attempt) == (JobStatus.ERRORED, 1)
    assert done.output is not None
    assert "payload.data: " in str(done.output.error)


async def test_options_collide_with_no_field(processors: Processors) -> None:
    """They are said of the job before its fields, which may have their names."""
    processor = await processors.make()

    @processor.job
    async def plan(priority: int, scheduled_for: str = "") -> None: ...

    later = plan.options(scheduled_for=timedelta(minutes=5)).options(priority=3)
    job = await later.schedule(priority=8, scheduled_for="noon")
    assert job.payload == {"priority": 8, "scheduled_for": "noon"}
    assert (job.priority, job.scheduled_for - job.created_at) == (3, timedelta(minutes=5))
    assert (await plan.schedule(1)).priority == 0
    (one,) = await processor.schedule_jobs([later.options(unique_key="k").request(1)])
    (two,) = await later.schedule_many([{"priority": 1}])
    assert (one.priority, one.unique_key, two.priority, two.unique_key) == (3, "k", 3, None)
    with pytest.raises(InvalidArgumentError, match="did you mean 'priority'"):
        plan.options(priorty=3)  # type: ignore[call-arg]  # what is tested
    for name, line in (
        ("countdown", r"timedelta\(seconds=…\)"),
        ("eta", r"datetime\(…, tzinfo=UTC"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"write scheduled_for={line}"):
            plan.options(**{name: 5})  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidArgumentError, match="it runs now, in this process"):
        await later.run(1)


async def test_options_of_a_handler_with_a_payload(processors: Processors) -> None:
    """They hold where the call says nothing else."""
    processor = await processors.make()

    @processor.job
    async def take(payload: dict[str, Any]) -> None: ...

    urgent = take.options(priority=5, unique_key="k")
    job = await urgent.schedule({"a": 1}, priority=6, on_conflict="skip")
    assert (job.payload, job.priority, job.unique_key) == ({"a": 1}, 6, "k")
    assert (await take.schedule({})).priority == 0


async def test_many_from_any_source(processors: Processors) -> None:
    """Plain or async; a lone mapping is refused."""
    processor = await processors.make()

    @processor.job
    async def add(x: int) -> int:
        return x

    async def source() -> AsyncIterator[dict[str, int]]:
        for x in range(3):
            yield {"x": x}

    told: list[int] = []
    jobs = await add.schedule_many(source(), on_progress=told.append)
    assert ([job.payload for job in jobs], told) == ([{"x": 0}, {"x": 1}, {"x": 2}], [3])
    assert await add.schedule_many(({"x": x} for x in range(3)), return_jobs=False) == []
    for lone in ({"x": 1}, "x", 3):
        with pytest.raises(InvalidArgumentError, match=r"write \[payload\]"):
            await add.schedule_many(lone)  # type: ignore[arg-type]  # what is tested


async def test_wait_takes_jobs_of_its_name(processors: Processors) -> None:
    """By the job or its id; that of another name is refused, since its result is another."""
    processor = await processors.make()

    @processor.job
    async def one() -> int:
        return 1

    @processor.job
    async def two() -> int:
        return 2

    job = await one.run()
    assert (await one.wait(job)).result() == (await one.wait(job.id)).result() == 1
    assert (await one.wait(str(job.id), timeout=5)).id == job.id
    with pytest.raises(InvalidArgumentError, match="allowed is a job 'two'; this is a 'one'"):
        await two.wait(job)


def test_from_synchronous_code(tmp_path: Path) -> None:
    """A job is stored without setup(), from any thread; a running event loop is not held up."""
    processor = JobProcessor(f"sqlite:///{tmp_path}/jobs.db")

    @processor.job
    async def send(to: str) -> str:
        return to

    @processor.job
    async def take(payload: dict[str, Any]) -> None: ...

    job = send.options(priority=3).schedule_sync("ada")
    assert (job.payload, job.priority) == ({"to": "ada"}, 3)
    assert take.schedule_sync({"a": 1}).payload == {"a": 1}
    with pytest.raises(InvalidPayloadError):
        send.schedule_sync(3)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidArgumentError, match="session"):
        send.options(session=object()).schedule_sync("ada")

    async def work() -> None:
        with pytest.raises(JobProcessorError, match=r"write `await …\.schedule"):
            send.schedule_sync("eve")
        async with processor:
            await processor.run_worker(burst=True)
            assert (await send.wait(job)).result() == "ada"

    asyncio.run(work())


async def test_from_a_thread_where_one_loop_has_the_database() -> None:
    """In memory a plain handler schedules in the worker's loop; without that loop it is refused."""
    processor = JobProcessor("sqlite://")

    @processor.job
    def send(to: str) -> str:
        return f"to {to}"

    @processor.job
    def sign_up(email: str) -> str:
        return str(send.schedule_sync(to=email).id)

    async with processor:
        job = await sign_up.schedule(email="ada")
        await processor.run_worker(burst=True)
        sent = (await sign_up.wait(job)).result()
        assert (await send.wait(sent)).result() == "to ada"
        with pytest.raises(InvalidPayloadError):  # what it raises there is raised here
            await asyncio.to_thread(send.schedule_sync, 3)  # type: ignore[arg-type]
    async with processor:
        pass
    with pytest.raises(InvalidArgumentError, match="several event loops"):
        await asyncio.to_thread(send.schedule_sync, "eve")
    async with processor:  # which leaves nothing half open
        await send.schedule("bob")


def test_a_thread_does_not_wait_for_a_loop_that_ended() -> None:
    """It gets an error that says so."""
    loop = asyncio.new_event_loop()
    stopped = threading.Event()

    async def work() -> None:
        loop.stop()
        await asyncio.sleep(3600)

    def serve() -> None:
        loop.run_forever()
        stopped.set()

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(NotSetUpError, match="the event loop of the processor ended"):
        call_in(loop, work())
    assert stopped.wait(60)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_bare_and_with_options(processors: Processors) -> None:
    """Both forms define the job, and leave the function what it is."""
    processor = await processors.make()

    @processor.job
    async def bare(x: int) -> int:
        """Say what it does."""
        return x

    @processor.job("named", tag="heavy", retry=3)
    def with_options(x: int) -> int:
        return x

    named: JobHandle[[int], int] = processor.job(name="again")(with_options)
    assert (await bare(1), with_options(2), named(3)) == (1, 2, 3)
    assert (bare.name, bare.__doc__, named.name) == ("bare", "Say what it does.", "again")
    assert processor.registry.jobs.keys() == {"bare", "named", "again"}
    assert processor.registry.jobs["named"].tag == "heavy"
    assert (await bare.run(4)).result() == 4
    assert isinstance(await bare.schedule(4), SimpleJob)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retri": 2}, r"write retry=Retry\(max_attempts=5\)"),
        ({"max_retries": 2}, "write retry="),
        ({"time_limit": 30}, r"write max_runtime_in_minutes=5, or max_runtime=timedelta\("),
        ({"queue": "x"}, 'write tag="emails"'),
        ({"timeout": 2}, "write max_runtime"),
        ({"priority": 2}, r"send\.options\(priority=5\)"),
        ({"bind": True}, "a parameter named job or context"),
        ({"tz": "UTC"}, "its options are on_job_exited"),
        ({"nonsense": 1}, "its options are on_job_exited"),
    ],
)
def test_an_option_that_does_not_exist(options: dict[str, Any], told: str) -> None:
    """It is refused at once, with the nearest one and the line to write."""
    with pytest.raises(DefinitionError, match=told):
        JobProcessor("sqlite://").job(**options)


def test_crons_need_a_schedule_and_known_options() -> None:
    """A bare decorator would define nothing, so it is refused there and then."""
    processor = JobProcessor("sqlite://")
    with pytest.raises(DefinitionError, match=r'write @processor\.cron\("0 2 \* \* \*"\)'):

        @processor.cron  # type: ignore[arg-type]  # what is tested
        def nightly() -> None: ...

    with pytest.raises(DefinitionError, match='write timezone="Europe/Paris"'):
        processor.cron("* * * * *", tz="UTC")  # type: ignore[call-arg]  # what is tested
    with pytest.raises(DefinitionError, match="allowed is a str, or the handler itself"):
        processor.job(3)  # type: ignore[call-overload]  # what is tested


@pytest.mark.parametrize("name", ["delay", "apply_async", "enqueue", "defer", "kiq"])
def test_names_of_other_packages(name: str) -> None:
    """They say what to write instead."""
    processor = JobProcessor("sqlite://")

    @processor.job
    def send(to: str) -> None: ...

    with pytest.raises(AttributeError, match=r"write send\.schedule\(…\)"):
        getattr(send, name)
    assert not hasattr(send, "nonsense")
