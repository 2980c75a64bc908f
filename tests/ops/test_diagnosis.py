"""`check(job_id)`: why a job does not run, one question after the other, on both stores."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from job_processor import AbortController, Finding, InvalidArgumentError, JobDef, JobProcessor
from job_processor.ops.diagnosis import QUESTIONS
from tests.definitions import nothing

SUBJECTS = [each.subject for each in QUESTIONS]


def held(findings: list[Finding]) -> list[str]:
    """Return the subjects that keep the job from running; each says what to do, in one line."""
    assert [each.subject for each in findings] == SUBJECTS[: len(findings)]
    for each in findings:
        assert (each.advice != "") == (each.level != "ok"), each
        assert len(each.advice) <= 100
        assert "\n" not in each.advice
    return [each.subject for each in findings if each.level != "ok"]


async def test_each_question_is_answered_in_its_order(db_url: str) -> None:
    """From a job that is elsewhere, is not due, is paused, to the worker that has no free slot."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def block(job: object) -> None:
        entered.set()
        await release.wait()

    jobs = {"a": JobDef(nothing, tag="mail"), "b": JobDef(block), "c": JobDef(nothing, limit=1)}
    async with JobProcessor(db_url, jobs=jobs) as processor:
        assert held(await processor.check("0123456789abcdef01234567")) == ["stored"]

        later = await processor.schedule_job("a", scheduled_for=timedelta(hours=1))
        assert held(await processor.check(later.id)) == ["time", "workers"]

        job = await processor.schedule_job("a")
        assert held(await processor.check(job.id)) == ["workers"]
        await processor.pause(tag="mail")
        (said,) = [each for each in await processor.check(job.id) if each.subject == "pause"]
        assert (said.text, said.advice) == (
            "the tag 'mail' is paused",
            "end the pause: job-processor resume --tag mail",
        )
        await processor.resume(tag="mail")

        parent = await processor.schedule_job("a", scheduled_for=timedelta(hours=1))
        child = await processor.schedule_job("b", after=[parent])
        assert held(await processor.check(child.id)) == ["waits for", "workers"]

        stop = AbortController()
        busy = JobProcessor(db_url, jobs={"b": jobs["b"]}, concurrency=1)
        async with busy:
            worker = asyncio.create_task(busy.run_worker(stop.signal))
            first = await processor.schedule_job("b")
            await entered.wait()
            assert held(await processor.check(job.id)) == ["name"]
            assert held(await processor.check(first.id)) == []
            assert (await processor.check(first.id))[-1].text == "running"
            second = await processor.schedule_job("b")
            assert held(await processor.check(second.id)) == ["slots"]
            release.set()
            await processor.wait_for_job(second.id, timeout=30)
            stop.abort()
            await worker
        assert held(await processor.check(first.id)) == []

        await processor.kill_job(job.id)
        (*_, said) = await processor.check(job.id)
        assert (said.subject, said.text) == ("state", "it has ended: killed")
        with pytest.raises(InvalidArgumentError, match="24 hex digits"):
            await processor.check("0123")


async def test_a_worker_for_other_tags_is_no_help(db_url: str) -> None:
    """The tag that a job needs is named, with the line to start such a worker."""
    jobs = {"a": JobDef(nothing, tag="mail"), "b": JobDef(nothing, tag="video")}
    stop = AbortController()
    async with JobProcessor(db_url, jobs=jobs, worker_tags=["video"]) as processor:
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        done = await processor.schedule_job("b")
        await processor.wait_for_job(done.id, timeout=30)
        job = await processor.schedule_job("a")
        findings = await processor.check(job.id)
        assert held(findings) == ["tag"]
        assert findings[-1].advice == "start one that does: job-processor worker --tags mail"
        stop.abort()
        await worker


async def test_the_error_of_a_handler_is_not_told(db_url: str) -> None:
    """It may hold values of the payload; the state and where to read more are enough."""

    def fail(job: object) -> None:
        raise ValueError("secret of ada")

    async with JobProcessor(db_url, jobs={"a": JobDef(fail)}) as processor:
        job = await processor.run_job("a")
        assert "secret" not in str(await processor.check(job.id))
