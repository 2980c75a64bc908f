"""The JSON API: what it gives and does, and how it says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2 as httpx
import pytest

from job_processor import JobProcessor, JobStatus
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.processors import Processors
from tests.web.conftest import CRONS, JOBS, client_of

DOCS = Path(__file__).parents[2] / "docs"
UNKNOWN = "0123456789abcdef01234567"


def problem(answer: httpx.Response, status: int, *parts: str) -> None:
    """Check that an answer is a problem document of this status that says these parts."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], set(body)) == (status, {"type", "title", "status", "detail"})
    for part in parts:
        assert part in body["detail"]


async def test_jobs(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Pages of a selection in both directions; one job; payload fields are hidden."""
    await processor.schedule_jobs([("echo", {"n": n, "password": "x"}) for n in range(5)])
    await processor.run_worker(burst=True)
    page = (await client.get("/api/jobs?limit=2&name=echo")).json()
    assert [job["payload"]["n"] for job in page["jobs"]] == [4, 3]
    assert page["jobs"][0]["payload"]["password"] == "[redacted]"  # noqa: S105  # what hides it
    assert page["jobs"][0]["output"]["result"]["password"] == "[redacted]"  # noqa: S105  # the same
    more = (await client.get(f"/api/jobs?limit=2&name=echo&after={page['next']}")).json()
    assert [job["payload"]["n"] for job in more["jobs"]] == [2, 1]
    back = await client.get(f"/api/jobs?limit=2&name=echo&before={more['previous']}")
    assert back.json()["jobs"] == page["jobs"]
    filters = [("status=finished&type=simple", 5), ("tag=light", 5), ("payload=n%3D3", 1)]
    filters += [("from=2100-01-01", 0), ("to=2100-01-01T00:00Z&name=echo", 5), ("error=x", 0)]
    for query, expected in filters:
        assert len((await client.get(f"/api/jobs?{query}")).json()["jobs"]) == expected, query
    one = (await client.get(f"/api/jobs/{page['jobs'][0]['_id']}")).json()
    assert one == page["jobs"][0]


async def test_jobs_are_made_and_steered(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Scheduled, killed, retried, deleted; each is noted."""
    made = await client.post("/api/jobs", json={"name": "echo", "payload": {"a": 1}, "priority": 3})
    assert made.status_code == 201
    id = made.json()["_id"]
    later = await client.post(
        "/api/jobs", json={"name": "echo", "scheduled_for": "2100-01-01T00:00:00Z"}
    )
    assert later.json()["scheduled_for"] == "2100-01-01T00:00:00.000Z"
    client.headers[OWN_HEADER] = "tests"
    assert (await client.post(f"/api/jobs/{id}/kill")).json()["status"] == "killed"
    assert (await client.post(f"/api/jobs/{id}/retry")).json()["status"] == "pending"
    problem(await client.post(f"/api/jobs/{id}/retry"), 409, "pending")
    assert (await client.delete(f"/api/jobs/{id}")).status_code == 204
    problem(await client.delete(f"/api/jobs/{id}"), 404, id)
    noted = (await processor.get_audit())[::-1]
    assert [(entry.action, entry.outcome) for entry in noted if entry.subject == id] == [
        *(("kill", "done"), ("retry", "done"), ("retry", "refused: JobStateError")),
        *(("delete", "done"), ("delete", "refused: JobNotFoundError")),
    ]
    assert [entry.action for entry in noted if entry.subject == "echo"] == ["schedule"] * 2


async def test_status(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """As the facade has it; crons with their times; workers with what they run."""
    await processor.schedule_job("echo", {"token": "x"})
    status = (await client.get("/api/status")).json()
    assert set(status) == {"now", "workers", "queue", "jobs", "crons"}
    assert status["queue"][0]["payload"] == {"token": "[redacted]"}
    assert set((await client.get("/api/processor-status")).json()) == set(status)
    await processor.run_worker(burst=True)
    (cron,) = (await client.get("/api/crons")).json()["crons"]
    assert (cron["name"], cron["timezone"], len(cron["upcoming"])) == ("nightly", "Europe/Paris", 5)
    assert (await client.get("/api/workers")).json() == {"workers": []}
    problem(await client.get("/healthz"), 503, "no worker")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", "/api/jobs?limit=0", None, 400, "limit"),
        ("GET", "/api/jobs?limit=x", None, 400, "limit"),
        ("GET", "/api/jobs?limit=100000", None, 400, "1000"),
        ("GET", "/api/jobs?status=done", None, 400, "status"),
        ("GET", "/api/jobs?payload=x", None, 400, "user.id=7"),
        ("GET", "/api/jobs?payload=%24where%3D1", None, 400, "payload"),
        ("GET", "/api/jobs?from=yesterday", None, 400, "ISO 8601"),
        ("GET", "/api/jobs?after=7", None, 400, "after"),
        ("GET", "/api/jobs/7", None, 400, "24 hex digits"),
        ("GET", f"/api/jobs/{UNKNOWN}", None, 404, UNKNOWN),
        ("GET", "/api/nothing", None, 404, ""),
        ("PUT", "/api/jobs", None, 405, ""),
        ("POST", f"/api/jobs/{UNKNOWN}/kill", None, 404, UNKNOWN),
        ("POST", f"/api/jobs/{UNKNOWN}/retry", None, 404, UNKNOWN),
        ("DELETE", f"/api/jobs/{UNKNOWN}", None, 404, UNKNOWN),
        ("POST", "/api/jobs", b"{", 400, "JSON"),
        ("POST", "/api/jobs", b"[1]", 400, "object with name"),
        ("POST", "/api/jobs", b'{"name": "echo", "color": 1}', 400, "object with name"),
        ("POST", "/api/jobs", b'{"name": "unknown"}', 422, "unknown"),
        ("POST", "/api/jobs", b'{"name": 7}', 422, "name"),
        ("POST", "/api/jobs", b'{"name": "echo", "payload": 7}', 422, "payload"),
        ("POST", "/api/jobs", b'{"name": "echo", "priority": 99}', 400, "priority"),
        ("POST", "/api/jobs", b'{"name": "echo", "priority": "high"}', 400, "priority"),
        ("POST", "/api/jobs", b'{"name": "echo", "scheduled_for": 7}', 400, "ISO 8601"),
    ],
)
async def test_bad_input(
    client: httpx.AsyncClient, method: str, path: str, body: bytes | None, status: int, told: str
) -> None:
    """Is a problem document with the right status, and never a 500."""
    headers = {"content-type": "application/json"}
    problem(await client.request(method, path, content=body, headers=headers), status, told)


async def test_a_body_of_another_kind(client: httpx.AsyncClient) -> None:
    """A form, which any site can send, is no JSON."""
    problem(await client.post("/api/jobs", data={"name": "echo"}), 400, "application/json")


async def test_a_body_that_is_too_large(client: httpx.AsyncClient) -> None:
    """Is refused before all of it is read."""
    headers = {"content-type": "application/json"}
    answer = await client.post("/api/jobs", content=b" " * (17 * 1024 * 1024), headers=headers)
    problem(answer, 413, "16 MiB")


async def test_a_conflict(processors: Processors) -> None:
    """Of a retry with an active one of its exclusive name is a 409."""
    definition = {"alone": type(JOBS["echo"])(JOBS["echo"].handler, exclusive=True)}
    processor = await processors.make(jobs=definition)
    job = await processor.schedule_job("alone")
    await processor.run_worker(burst=True)
    await processor.schedule_job("alone")
    async with client_of(create_app(processor)) as client:
        asked = await client.post(f"/api/jobs/{job.id}/retry", headers={OWN_HEADER: "tests"})
        problem(asked, 409, "exclusive")
    assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED


async def test_the_document(client: httpx.AsyncClient) -> None:
    """Describes every route of the API."""
    document = (await client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        "/healthz",
        "/scaling",
        *(f"/api/{name}" for name in ("status", "processor-status", "jobs", "crons", "workers")),
        *(f"/api/{name}" for name in ("limits", "lane", "rates", "rates/hold", "schedules")),
        *(f"/api/{name}" for name in ("figures", "name", "names", "pauses", "crons/{name}/run")),
        *(f"/api/schedules/{{name}}{rest}" for rest in ("", "/pause", "/resume")),
        *(f"/api/jobs/{{id}}{rest}" for rest in ("", "/kill", "/retry")),
        *(f"/api/flows{rest}" for rest in ("", "/{id}", "/{id}/kill", "/{id}/retry")),
        *(f"/api/groups{rest}" for rest in ("", "/{id}", "/{id}/kill", "/{id}/retry")),
    }


@pytest.mark.parametrize("page", ["dashboard.md", "dashboard.fr.md"])
async def test_the_page(client: httpx.AsyncClient, page: str) -> None:
    """Names each call of the API, and none that there is not."""
    document = (await client.get("/api/openapi.json")).json()
    calls = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "delete")
    }
    text = (DOCS / page).read_text(encoding="utf-8")
    told = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)(?:\?[^`]*)?`", text)
    named = {each.replace("/ID", "/{id}").replace("/NAME", "/{name}") for each in told}
    assert named - {"GET /api/openapi.json", "GET /metrics"} == calls


async def test_a_name_and_names(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """One is all of a name that is given in full; the other only the names that hold a text."""
    await processor.schedule_job("echo")
    one = (await client.get("/api/name?name=echo")).json()
    assert (one["name"], one["tag"], one["waiting"]) == ("echo", "light", 1)
    assert set(one["spans"]) == {"hour", "day", "week"}
    problem(await client.get("/api/name?name=ech"), 404, "name")
    problem(await client.get("/api/name"), 400, "name")
    assert (await client.get("/api/names?like=CH")).json() == {"names": ["echo"], "more": False}
    assert (await client.get("/api/names?like=ght")).json() == {"names": ["nightly"], "more": False}
    assert (await client.get("/api/names?like=nope")).json() == {"names": [], "more": False}
    assert (await client.get("/api/names")).json()["names"] == sorted({*JOBS, *CRONS})
