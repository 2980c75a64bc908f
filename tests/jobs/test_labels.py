"""Jobs with labels: given when they are defined or made, found and acted on by them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from job_processor import (
    Clock,
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobOptions,
    JobProcessor,
    JobRequest,
    JobStatus,
    Retry,
)
from job_processor.models import Job
from job_processor.sync import JobClient
from tests.definitions import nothing
from tests.processors import Processors, eventually

TENANT = "tenant:42"
DEFINED: dict[str, Any] = {
    "plain": JobDef(nothing),
    "digest": JobDef(nothing, labels=["mail", "nightly"]),
}


async def labels_of(processor: JobProcessor, **selection: Any) -> list[tuple[str, ...]]:
    """Return the labels of what is found, the oldest first."""
    page = await processor.find_jobs(oldest_first=True, **selection)
    return [job.labels for job in page.jobs]


async def test_labels_are_given_in_every_way(processors: Processors) -> None:
    """Alone, among many, by a handle, a client and a schedule; those of the definition first."""
    processor = await processors.make(jobs=DEFINED)

    @processor.job(labels=["nightly"])
    async def tidy(payload: dict[str, int]) -> None: ...

    await processor.schedule_job("plain", labels=[TENANT])
    await processor.schedule_jobs(["digest", JobRequest("digest", labels=[TENANT, "mail"])])
    await tidy.schedule({"n": 1}, labels=[TENANT])
    await tidy.options(labels=[TENANT, "x"]).schedule({"n": 2})
    await tidy.options(labels=["y"]).schedule_many([{"n": 3}])
    assert await labels_of(processor) == [
        (TENANT,),
        ("mail", "nightly"),
        ("mail", "nightly", TENANT),
        ("nightly", TENANT),
        ("nightly", TENANT, "x"),
        ("nightly", "y"),
    ]
    assert len(await labels_of(processor, label=TENANT)) == 4
    assert len(await labels_of(processor, labels=["nightly", TENANT])) == 3
    assert await processor.count_jobs(label="mail") == 2
    listed = await processor.list_jobs(label="y")
    assert [each.labels for each in listed.jobs] == [("nightly", "y")]


async def test_a_client_gives_labels(sqlite_db_url: str, processors: Processors) -> None:
    """Synchronous code gives them as the rest does."""
    processor = await processors.make(db=sqlite_db_url, jobs=DEFINED)

    def schedule() -> None:
        with JobClient(sqlite_db_url, jobs=DEFINED) as client:
            client.schedule_job("plain", labels=[TENANT])

    await asyncio.to_thread(schedule)
    assert await labels_of(processor, label=TENANT) == [(TENANT,)]


async def test_more_than_a_job_may_have_is_refused(processors: Processors) -> None:
    """Those of the definition count, and nothing is stored."""
    processor = await processors.make(jobs=DEFINED)
    with pytest.raises(InvalidArgumentError, match="16 labels, those of its definition included"):
        await processor.schedule_job("digest", labels=[str(n) for n in range(15)])
    with pytest.raises(InvalidArgumentError, match=r"write \['tenant:42'\]"):
        await processor.schedule_job("plain", labels=TENANT)
    assert await labels_of(processor) == []


async def test_jobs_are_acted_on_by_a_label(processors: Processors) -> None:
    """Retry, kill and delete take what `find_jobs` takes."""
    processor = await processors.make(jobs=DEFINED)
    await processor.schedule_jobs(["plain", *(JobRequest("plain", labels=[TENANT]),) * 3])
    assert (await processor.act_on_jobs("kill", label=TENANT)).done == 3
    assert (await processor.act_on_jobs("retry", labels=[TENANT])).done == 3
    assert len(await labels_of(processor, label=TENANT, status="pending")) == 3
    assert (await processor.act_on_jobs("delete", label=TENANT)).done == 3
    assert await labels_of(processor) == [()]


async def test_runs_and_retries_keep_labels(processors: Processors) -> None:
    """The handler sees them, the next attempt has them, and so has the end."""
    seen: list[tuple[str, ...]] = []

    async def fail(job: Job) -> None:
        seen.append(job.labels)
        raise ValueError("no")

    jobs = {"fail": JobDef(fail, retry=Retry(2, delay=timedelta(0)), labels=["a"])}
    processor = await processors.make(jobs=jobs)
    job = await processor.schedule_job("fail", labels=["b"])
    await processor.run_worker(burst=True)
    ended = await processor.get_job(job.id)
    assert ended is not None
    assert seen == [("a", "b"), ("a", "b")]
    assert (ended.status, ended.labels) == (JobStatus.ERRORED, ("a", "b"))
    assert (await processor.run_job("fail")).labels == ("a",)


async def test_flows_and_groups_keep_labels(processors: Processors) -> None:
    """Each job of a flow has its own, each member of a group, and what follows the group."""
    processor = await processors.make(jobs=DEFINED)
    flow = processor.flow("import")
    first = flow.add("plain", labels=["first"])
    flow.add("digest", after=first, labels=[TENANT])
    await flow.start()
    then = JobRequest("digest", labels=["then"])
    async with processor.group(then=then) as group:
        await group.add("plain", labels=["member"])
    await processor.run_worker(burst=True)
    assert await labels_of(processor, flow=flow.id) == [("first",), ("mail", "nightly", TENANT)]
    assert await labels_of(processor, group=group.id) == [("member",)]
    (follows,) = (await processor.find_jobs(label="then")).jobs
    assert (follows.status, follows.callback_of) == (JobStatus.FINISHED, group.id)
    assert follows.labels == ("mail", "nightly", "then")


async def test_crons_and_schedules_label_what_they_make(processors: Processors) -> None:
    """An occurrence in the queue, one that is started by hand, and a job of a schedule."""
    clock = Clock()
    crons = {"tick": CronDef("@daily", nothing, labels=["cron"])}
    processor, _ = await processors.start(jobs=DEFINED, crons=crons, clock=clock)
    await eventually(processor.get_crons)  # its occurrence is stored before
    assert await labels_of(processor, name="tick", label="cron") == [("cron",)]
    task = await processor.run_cron("tick")
    assert task.labels == ("cron",)
    elsewhere = await processors.make()
    assert (await elsewhere.run_cron("tick")).labels == ("cron",)
    start = clock.now()
    made = await processor.put_schedule(
        "digest:42", every=3600, start=start, job="digest", labels=[TENANT]
    )
    assert made.labels == (TENANT,)
    read = await processor.get_schedule("digest:42")
    assert read is not None
    assert read.labels == (TENANT,)
    again = await processor.put_schedule(
        "digest:42", every=3600, start=start, job="digest", labels=[TENANT]
    )
    assert again.rev == 1
    other = await processor.put_schedule(
        "digest:42", every=3600, start=start, job="digest", labels=["x"]
    )
    assert (other.rev, other.labels) == (2, ("x",))


async def test_a_schedule_makes_jobs_with_labels(processors: Processors) -> None:
    """Those of the definition and its own."""
    processor, _ = await processors.start(jobs=DEFINED)
    await processor.put_schedule("digest:42", every=1, job="digest", labels=[TENANT], limit=1)
    made = await eventually(lambda: labels_of(processor, label=TENANT))
    assert made == [("mail", "nightly", TENANT)]


async def test_labels_are_a_default(processors: Processors) -> None:
    """Of a processor, for all definitions that have none of their own."""
    processor = await processors.make(jobs=DEFINED, defaults=JobOptions(labels=["shop"]))
    await processor.schedule_jobs(["plain", "digest"])
    assert await labels_of(processor) == [("shop",), ("mail", "nightly")]


async def test_labels_in_a_transaction(sqlite_db_url: str, processors: Processors) -> None:
    """They are there once the caller commits, and not when it does not."""
    processor = await processors.make(db=sqlite_db_url, jobs=DEFINED)
    path = Path(sqlite_db_url.removeprefix("sqlite:///"))
    for commits in (False, True):
        with closing(sqlite3.connect(path)) as connection:
            await processor.schedule_job("plain", labels=[TENANT], session=connection)
            if commits:
                connection.commit()
        assert await labels_of(processor, label=TENANT) == [(TENANT,)] * commits


async def test_a_wrong_label_is_looked_for_nowhere(processors: Processors) -> None:
    """A selection is checked as labels are."""
    processor = await processors.make(jobs=DEFINED)
    for selection in ({"label": ""}, {"label": ["a"]}, {"labels": "a"}, {"labels": ["x" * 101]}):
        with pytest.raises(InvalidArgumentError, match="label"):
            await processor.find_jobs(**selection)
