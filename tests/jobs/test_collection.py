"""Collections of jobs and crons, which are defined before there is a processor."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from job_processor import (
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    Jobs,
    NotSetUpError,
)
from job_processor.testing import in_memory
from tests.processors import Processors


async def test_collections_of_modules(processors: Processors) -> None:
    """A processor has the jobs and crons of all of them, and their handles schedule by it."""
    mail, images = Jobs(prefix="mail."), Jobs()

    @mail.job
    async def send(to: str) -> str:
        return f"sent to {to}"

    @mail.job("later", tag="slow")
    async def send_later(to: str) -> str:
        return f"sent later to {to}"

    @mail.cron("0 2 * * *")
    async def nightly() -> None: ...

    @images.job
    def resize(width: int) -> int:
        return width // 2

    processor = await processors.make(jobs=[mail, images, {"old": JobDef(None)}])
    assert processor.registry.jobs.keys() == {"mail.send", "mail.later", "resize", "old"}
    assert processor.registry.crons.keys() == {"mail.nightly"}
    assert processor.registry.jobs["mail.later"].tag == "slow"
    assert (send.name, send_later.name, resize.name) == ("mail.send", "mail.later", "resize")
    assert (await send.run("ada")).result() == "sent to ada"
    job = await resize.schedule(width=8)
    await processor.run_worker(burst=True)
    assert (await resize.wait(job)).result() == 4

    @images.job
    def crop(width: int) -> int:
        return width - 1

    assert (await crop.run(3)).result() == 2  # defined later


async def test_a_lone_collection_and_the_test_kit() -> None:
    """It stands for a list of one; a test may put its processor into memory."""
    jobs = Jobs()

    @jobs.job
    async def send(to: str) -> str:
        return to

    async with in_memory(JobProcessor("sqlite://", jobs=jobs)) as tester:
        await send.schedule("ada")
        assert [job.result() for job in await tester.drain()] == ["ada"]


async def test_without_a_processor() -> None:
    """A handle says what is missing; the function can be called all the same."""
    jobs = Jobs()

    @jobs.job
    async def send(to: str) -> str:
        return to

    assert await send("ada") == "ada"
    with pytest.raises(NotSetUpError, match=r"write JobProcessor\(…, jobs=\[…\]\)"):
        await send.schedule("ada")


async def test_with_several_processors() -> None:
    """The one that is set up here is meant; where that is not one, nobody guesses."""
    jobs = Jobs()

    @jobs.job
    async def send(to: str) -> str:
        return to

    one, two = (JobProcessor("sqlite://", jobs=jobs) for _ in range(2))
    with pytest.raises(NotSetUpError, match="to 2 processors, 0 of which are set up here"):
        await send.schedule("ada")
    async with two:
        job = await send.schedule("ada")
        assert await two.get_job(job.id) == job
        async with one:
            with pytest.raises(NotSetUpError, match="2 of which are set up here"):
                await send.schedule("ada")
    del two
    gc.collect()
    with pytest.raises(NotSetUpError, match=r"call `await processor\.setup"):
        await send.schedule("ada")  # one that is gone counts no more
    assert one.registry.jobs.keys() == {"send"}


def test_a_name_is_taken_once() -> None:
    """In a collection, among collections, and with other definitions."""
    one, two = Jobs(), Jobs()

    def send() -> None: ...

    one.job(send)
    two.job(send)
    with pytest.raises(DefinitionError, match="no job or cron has yet"):
        one.cron("* * * * *")(send)
    every: list[Any] = [[one, two], [one, {"send": JobDef(None)}], [{"send": JobDef(None)}] * 2]
    for jobs in every:
        with pytest.raises(DefinitionError, match="allowed is a name that no job"):
            JobProcessor("sqlite://", jobs=jobs)


@pytest.mark.parametrize("jobs", ["jobs", 3, [3], [JobDef(None)], b"jobs"])
def test_what_are_no_jobs(jobs: Any) -> None:
    """It is refused with what is allowed."""
    with pytest.raises(InvalidArgumentError, match=r"jobs: .*a Jobs\(\), and a list of these"):
        JobProcessor("sqlite://", jobs=jobs)


@pytest.mark.parametrize("prefix", [3, "  ", None, "x" * 300])
def test_what_is_no_prefix(prefix: Any) -> None:
    """It is text that can stand in a name."""
    with pytest.raises(InvalidArgumentError, match="prefix"):
        Jobs(prefix)
