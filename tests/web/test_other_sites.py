"""From which site a request comes: no page of another one reads or changes anything."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.web import create_app
from job_processor.web.forms import COOKIE
from tests.web.conftest import client_of
from tests.web.forms import csrf_of


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: who may change anything does not depend on it."""
    return sqlite_db_url


READS = [
    ({}, True),
    ({"sec-fetch-site": "none"}, True),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
    (
        {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        },
        True,
    ),
    (
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        False,
    ),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
    ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
]


@pytest.mark.parametrize(("headers", "answered"), READS)
async def test_reads_of_other_sites(
    client: httpx.AsyncClient, headers: dict[str, str], answered: bool
) -> None:
    """An image, a frame or a script of another site reads nothing; a link leads here."""
    for path in ("/jobs?status=errored&error=x", "/api/jobs", "/static/icon.svg"):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == (200 if answered else 403), path
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({"origin": "http://dashboard"}, True),
        ({"origin": "http://dashboard:80"}, True),
        ({"origin": "https://dashboard"}, False),
        ({"origin": "http://dashboard:8080"}, False),
        ({"origin": "http://["}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://dashboard@evil.test"}, False),
    ],
)
async def test_writes_of_other_sites(
    client: httpx.AsyncClient, headers: dict[str, str], answered: bool
) -> None:
    """An origin counts with its scheme and port, and one that cannot be read is another."""
    answer = await client.post("/api/jobs", json={"name": "echo"}, headers=headers)
    assert answer.status_code == (201 if answered else 403)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_what_a_form_of_another_site_could_be(
    client: httpx.AsyncClient, processor: JobProcessor, kind: str
) -> None:
    """The API takes JSON, a header of its own or a bearer token: no page sends these unasked."""
    job = await processor.schedule_job("echo")
    calls = [("POST", "/kill"), ("POST", "/retry"), ("DELETE", "")]
    for method, verb in calls:
        headers = {"content-type": kind} if kind else {}
        answer = await client.request(method, f"/api/jobs/{job.id}{verb}", headers=headers)
        assert answer.status_code == 400
        assert "application/json" in answer.json()["detail"]
    assert await processor.get_job(job.id) == job
    named = {"content-type": "application/json"}
    answer = await client.post(f"/api/jobs/{job.id}/kill", headers=named)
    assert answer.json()["status"] == "killed"
    bearer = {"authorization": "Bearer anything"}  # nobody is asked here
    assert (await client.delete(f"/api/jobs/{job.id}", headers=bearer)).status_code == 204


async def test_messages_are_ours_alone(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Nobody puts words into the dashboard's mouth, by an address or by a cookie."""
    page = await client.get("/?done=pay+here&error=pay+there")
    assert "pay here" not in page.text
    assert "pay there" not in page.text
    assert 'role="alert"' not in page.text
    client.cookies.set("job_processor_told", "eyJhIjoxfQ.0123")
    assert (await client.get("/jobs")).status_code == 200
    form = {"csrf": csrf_of(page.text), "do": "kill", "id": "7", "back": "/jobs"}
    told = await client.post("/act", data=form)
    assert str(told.url) == "http://dashboard/jobs"
    assert 'role="alert">job_id' in told.text
    assert 'role="alert"' not in (await client.get("/jobs")).text


async def test_a_tossed_cookie(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """A cookie that somebody else has set, with a form that repeats it, changes nothing."""
    await client.get("/jobs")
    job = await processor.schedule_job("echo")
    known = "x" * 32
    client.cookies.clear()
    client.cookies.set(COOKIE, known)
    form = {"csrf": known, "do": "kill", "id": str(job.id), "back": "/"}
    assert (await client.post("/act", data=form)).status_code == 403
    assert await processor.get_job(job.id) == job


async def test_a_form_of_another_login(processor: JobProcessor) -> None:
    """A token of a form is good for the login that got it, and for no other."""
    logins = {"a": "ada", "b": "bob"}

    def access(request: Any) -> Any:
        request.scope["job_processor.login"] = logins[request.headers["x-user"]]
        return "all"

    async with client_of(create_app(processor, access)) as client:
        client.headers["x-user"] = "a"
        form = {"csrf": csrf_of((await client.get("/jobs")).text), "do": "pause", "name": "echo"}
        assert (await client.post("/act", data=form, headers={"x-user": "b"})).status_code == 403
        assert (await client.post("/act", data=form)).status_code == 200


async def test_processes_of_one_database_share_their_forms(
    processor: JobProcessor, db_url: str
) -> None:
    """A form of one process is taken by another."""
    async with client_of(create_app(processor)) as client:
        page = await client.get("/jobs")
        cookie = client.cookies[COOKIE]
    async with JobProcessor(db_url) as other, client_of(create_app(other)) as client:
        client.cookies.set(COOKIE, cookie)
        form = {"csrf": csrf_of(page.text), "do": "pause", "name": "echo"}
        assert (await client.post("/act", data=form)).status_code == 200
