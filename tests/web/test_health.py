"""Probes: what `/healthz` costs, what it tells and whom."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx2 as httpx
import pytest

from job_processor import InvalidArgumentError, JobProcessor, StoreUnavailableError
from job_processor.web import create_app, health
from tests.processors import Processors, eventually
from tests.web.conftest import JOBS, client_of
from tests.web.spy import Spy

REASON = "mongodb://db.internal:27017/app does not answer"


async def test_health(processors: Processors) -> None:
    """Healthy while a worker lives, whoever asks: a probe has no login."""
    processor, _ = await processors.start(jobs=JOBS)
    async with client_of(create_app(processor, lambda _: "forbidden")) as client:

        async def is_healthy() -> Any:
            answer = await client.get("/healthz")
            return answer if answer.status_code == 200 else None

        healthy = await eventually(is_healthy)
        assert healthy.json() == {"status": "ok", "workers": 1}


async def test_a_probe_reads_no_job(processor: JobProcessor) -> None:
    """It asks for numbers only, and once a second at the most however many probes there are."""
    await processor.schedule_jobs([("echo", {"text": "x" * 100_000})] * 3)
    spy = Spy(processor)
    async with client_of(create_app(processor)) as client:
        answers = [await client.get("/healthz") for _ in range(20)]
        answers += await asyncio.gather(*(client.get("/healthz") for _ in range(20)))
    assert {answer.json()["detail"] for answer in answers} == {health.IDLE}
    assert spy.asked == ["workers.count_alive"]


async def test_probes_while_the_database_is_away(
    processor: JobProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    """All who ask at once share one question; they learn nothing of where the database is."""
    spy = Spy(processor)
    spy.error = StoreUnavailableError(REASON)
    spy.may_go.clear()
    async with client_of(create_app(processor)) as client:
        with caplog.at_level(logging.WARNING, "job_processor"):
            probes = [asyncio.create_task(client.get("/healthz")) for _ in range(5)]

            async def is_asked() -> bool:
                return bool(spy.asked)

            await eventually(is_asked)
            spy.may_go.set()
            answers = await asyncio.gather(*probes)
            answers.append(await client.get("/healthz"))
    told = {(answer.status_code, answer.json()["detail"]) for answer in answers}
    assert told == {(503, health.AWAY)}
    assert "mongodb" not in answers[0].text
    assert spy.asked == ["workers.count_alive"]
    logged = [record.getMessage() for record in caplog.records]
    assert [message.endswith(REASON) for message in logged if "healthz" in message] == [True]


async def test_pages_while_the_first_setup_fails(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setup that fails fails once for all who wait for it, on every page."""
    processor = JobProcessor(db_url, jobs=JOBS)
    begun, may_fail, setups = asyncio.Event(), asyncio.Event(), []

    async def setup() -> None:
        setups.append(1)
        begun.set()
        await may_fail.wait()
        raise StoreUnavailableError(REASON)

    monkeypatch.setattr(processor, "setup", setup)
    async with client_of(create_app(processor)) as client:
        paths = ["/healthz", "/jobs", "/healthz", "/api/status", "/healthz"]
        asked = [asyncio.create_task(client.get(path)) for path in paths]
        await begun.wait()
        for _ in range(50):  # each goes as far as it can
            await asyncio.sleep(0)
        may_fail.set()
        answers: list[httpx.Response] = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [503] * 5
    assert len(setups) == 1


async def test_who_leaves_takes_nothing_from_the_others(processor: JobProcessor) -> None:
    """A probe that is given up does not end the question on which others wait."""
    spy = Spy(processor)
    spy.may_go.clear()
    async with client_of(create_app(processor)) as client:
        first, second = (asyncio.create_task(client.get("/healthz")) for _ in range(2))

        async def is_asked() -> bool:
            return bool(spy.asked)

        await eventually(is_asked)
        first.cancel()
        await asyncio.wait([first])
        spy.may_go.set()
        assert (await second).json()["detail"] == health.IDLE
    assert spy.asked == ["workers.count_alive"]


async def test_a_database_that_is_slow_to_answer(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts as one that does not, before a probe loses its patience."""
    monkeypatch.setattr(health, "PATIENCE", 0.01)
    spy = Spy(processor)
    spy.may_go.clear()
    async with client_of(create_app(processor)) as client:
        assert (await client.get("/healthz")).json()["detail"] == health.AWAY
        spy.may_go.set()


async def test_a_probe_that_has_to_log_in(processor: JobProcessor) -> None:
    """With `healthz="access"` only those are answered whom `access` lets in."""
    closed = create_app(processor, lambda _: "forbidden", healthz="access")
    async with client_of(closed) as client:
        assert (await client.get("/healthz")).status_code == 403
    with pytest.raises(InvalidArgumentError, match="healthz"):
        create_app(processor, healthz="private")  # type: ignore[arg-type]  # what is refused
