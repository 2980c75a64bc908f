"""`/scaling` and `/metrics`: what autoscalers and Prometheus are told, and who may ask."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from job_processor import InvalidArgumentError, JobDef, JobProcessor
from job_processor.ops.scaling import by_tag
from job_processor.web import Login, create_app, throttle
from tests.definitions import nothing
from tests.processors import Processors
from tests.web.conftest import HOSTILE, client_of

SCRAPER = "only-for-the-scraper"
TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone


def bearer(token: str) -> dict[str, str]:
    """Return the header that brings a token."""
    return {"authorization": f"Bearer {token}"}


async def test_scaling_of_a_fleet_at_zero(
    processor: JobProcessor, client: httpx.AsyncClient
) -> None:
    """It says what waits, of one tag too, and how many workers it takes within the bounds."""
    await processor.schedule_jobs(["echo"] * 25 + ["slow"] * 5)
    found = (await client.get("/scaling")).json()
    assert found.keys() == {
        "waiting",
        "oldest_seconds",
        "running",
        "workers",
        "capacity",
        "wanted",
    }
    assert (found["waiting"], found["workers"], found["capacity"]) == (30, 0, 0)
    assert found["wanted"] == 3
    asked = await client.get("/scaling", params={"tag": "light", "concurrency": 5, "max": 4})
    assert (asked.json()["waiting"], asked.json()["wanted"]) == (25, 4)


@pytest.mark.parametrize("query", ["tags=x", "min=-1", "max=x", "concurrency=0", "min=2&max=1"])
async def test_what_cannot_be_asked(client: httpx.AsyncClient, query: str) -> None:
    """It is refused with a problem that names it, not answered for all jobs."""
    answer = await client.get(f"/scaling?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_metrics_are_read_by_the_client_of_prometheus(processors: Processors) -> None:
    """Every gauge parses, whatever the names hold, and has the numbers of the database."""
    jobs = {HOSTILE + "\n\\": JobDef(nothing, tag='"\\'), "plain": JobDef(nothing)}
    processor = await processors.make(jobs=jobs)
    await processor.schedule_jobs(["plain"] * 3 + [HOSTILE + "\n\\"])
    async with client_of(create_app(processor)) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {
        (sample.name.removeprefix("job_processor_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values["waiting", "plain"] == 3
    assert values["waiting", HOSTILE + "\n\\"] == 1
    assert values["scaling_waiting", ""] == 4
    assert values["scaling_waiting", '"\\'] == 1
    assert values["scaling_wanted", ""] == 1
    assert (values["workers",], values["scaling_workers", ""]) == (0, 0)
    assert values["queue_delay_seconds",] >= 0
    assert by_tag({"a": "x", "b": None, "c": "x"}) == ["x"]


async def test_a_scraper_has_a_token_of_its_own(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens these two and nothing else; whom `access` lets in may ask, too; others may not."""
    monkeypatch.setattr(throttle, "FREE", 10_000)
    app = create_app(processor, Login(TOKEN), scrape_token=SCRAPER)
    async with client_of(app) as client:

        async def status(path: str, **options: Any) -> int:
            return (await client.get(path, **options)).status_code

        for path in ("/scaling", "/metrics"):
            assert await status(path) == 401
            assert await status(path, headers=bearer("not-the-token-of-it")) == 401
            assert await status(path, headers=bearer(SCRAPER)) == 200
            assert await status(path, headers=bearer(TOKEN)) == 200
        for path in ("/", "/jobs", "/api/status", "/api/jobs"):
            assert await status(path, headers=bearer(SCRAPER)) == 401
        written = await client.post("/scaling", headers=bearer(SCRAPER))
        assert written.status_code == 401


async def test_without_a_token_access_decides(processor: JobProcessor) -> None:
    """A reader may ask; who is forbidden may not, though `/healthz` answers."""
    async with client_of(create_app(processor, lambda _: "read_only")) as client:
        assert (await client.get("/scaling")).status_code == 200
    async with client_of(create_app(processor, lambda _: "forbidden")) as client:
        assert (await client.get("/metrics")).status_code == 403
        assert (await client.get("/healthz")).status_code == 503


async def test_any_host_is_answered(processor: JobProcessor) -> None:
    """The cluster knows the address of a pod alone."""
    app = create_app(processor, allowed_hosts=["dash.example.org"])
    async with client_of(app, base_url="http://10.0.0.7:8000") as client:
        assert (await client.get("/scaling")).status_code == 200
        assert (await client.get("/api/status")).status_code == 400


def test_a_token_that_is_too_short(processor: JobProcessor) -> None:
    """It is refused, and not shown."""
    with pytest.raises(InvalidArgumentError, match="scrape_token: <5 characters>"):
        create_app(processor, scrape_token="short")  # noqa: S106  # what is refused
