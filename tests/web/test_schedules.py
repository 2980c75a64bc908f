"""Schedules on their page and by the API: listed, put, paused and removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.web.conftest import HOSTILE, client_of
from tests.web.forms import Forms

NAME = "digest:42/ä"


async def test_the_page_lists_them(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """In words, with the next moment and the last job; paused, resumed and removed by its forms."""
    assert "No schedules." in (await client.get("/schedules")).text
    now = datetime.now(UTC)
    await processor.put_schedule(NAME, job="echo", every=timedelta(minutes=5), start=now, limit=9)
    await processor.put_schedule("daily", job="echo", cron="0 8 * * *", timezone="Europe/Paris")
    await processor.put_schedule(HOSTILE, job="slow", every=60)
    text = (await client.get("/schedules")).text
    for part in ("Every 5 minutes", "At 08:00", "Europe/Paris", NAME, "0 / 9", "never"):
        assert part in text
    assert "<script>alert(1)" not in text
    french = (await client.get("/schedules", headers={"accept-language": "fr"})).text
    assert "Planifications" in french
    assert "Toutes les 5 minutes" in french
    only = (await client.get("/schedules?job=slow")).text
    assert "At 08:00" not in only
    assert "paused" in await forms.send(do="pause_schedule", name="daily", back="/schedules")
    await forms.send(do="resume_schedule", name="daily")
    await forms.send(do="remove_schedule", name="daily", confirmed="1")
    assert await processor.get_schedule("daily") is None
    assert "there is no schedule" in await forms.send(do="pause_schedule", name="daily")
    actions = [entry.action for entry in await processor.get_audit()][::-1]
    assert actions[:3] == ["pause_schedule", "resume_schedule", "remove_schedule"]


async def test_a_page_is_bounded(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Fifty at a time, and a link to the next ones."""
    for number in range(51):
        await processor.put_schedule(f"s{number:02}", job="echo", every=60)
    first = (await client.get("/schedules")).text
    assert "s49" in first
    assert "s50" not in first
    assert 'href="/schedules?after=s49"' in first
    second = (await client.get("/schedules?after=s49")).text
    assert "s50" in second
    assert "First page" in second


async def test_who_may_only_read_has_no_buttons(processor: JobProcessor) -> None:
    """Neither are there any, nor do they work."""
    await processor.put_schedule("daily", job="echo", cron="0 8 * * *")
    async with client_of(create_app(processor, lambda _: "read_only")) as client:
        assert "remove_schedule" not in (await client.get("/schedules")).text
        answer = await client.delete("/api/schedules/daily", headers={OWN_HEADER: "tests"})
        assert answer.status_code == 403


async def test_the_api_puts_and_steers_them(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Whatever characters are in the name; values that a payload hides are not shown."""
    path = "/api/schedules/digest%3A42%2F%C3%A4"
    body = {
        "job": "echo",
        "every": 300,
        "payload": {"a": 1, "password": "hush"},
        "start": "2100-01-01T00:00:00Z",
    }
    made = await client.put(path, json=body)
    assert made.status_code == 200, made.text
    assert (made.json()["name"], made.json()["rev"]) == (NAME, 1)
    assert made.json()["next"] == "2100-01-01T00:00:00.000Z"
    assert "hush" not in made.text
    assert (await client.put(path, json={**body, "every": 60})).json()["rev"] == 2
    assert (await client.get(path)).json()["every"] == 60
    listed = (await client.get("/api/schedules?limit=1&job=echo")).json()
    assert ([each["name"] for each in listed["schedules"]], listed["next"]) == ([NAME], None)
    assert (await client.post(f"{path}/pause")).status_code == 400
    client.headers[OWN_HEADER] = "tests"
    assert (await client.post(f"{path}/pause")).json()["paused"] is True
    assert (await client.post(f"{path}/resume")).json()["paused"] is False
    assert (await client.delete(path)).status_code == 204
    for answer in (await client.delete(path), await client.get(path)):
        assert answer.status_code == 404
        assert "there is no schedule" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"every": 5}, 400, "body"),
        ({"job": "echo", "evry": 5}, 400, "body"),
        ({"job": "echo"}, 400, "cron"),
        ({"job": "echo", "every": 0.5}, 400, "every"),
        ({"job": "echo", "cron": "0 25 * * *"}, 400, "cron"),
        ({"job": "echo", "every": 5, "start": "soon"}, 400, "start"),
        ({"job": "ecko", "every": 5}, 422, "did you mean 'echo'"),
        ([], 400, "body"),
    ],
)
async def test_what_cannot_be_put_is_refused(
    client: httpx.AsyncClient, body: object, status: int, told: str
) -> None:
    """As a problem that names what is wrong."""
    answer = await client.put("/api/schedules/a", json=body)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"]
