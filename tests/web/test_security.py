"""Who may do what, forged requests, headers, hostile strings, the audit log."""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from job_processor import Context, InvalidArgumentError, JobDef, JobProcessor, Retry
from job_processor.web import Login, create_app
from job_processor.web.guard import COOKIE
from tests.processors import Processors
from tests.web.conftest import HOSTILE, client_of
from tests.web.forms import token_of

PAGES = [
    *("/", "/jobs", "/crons", "/workers", "/limits", "/lane?lane=sync:a", "/audit", "/names"),
    *("/name?name=echo", "/cron?name=nightly", "/tag?tag=light", "/new?name=echo"),
]


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP Basic."""
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@dataclass
class Credentials:
    """A payload that hides a field."""

    password: str
    n: int = 0


async def test_what_is_hidden_cannot_be_asked_for(processor: JobProcessor) -> None:
    """A filter on a hidden field is refused: on the page, in the API, in an action on all."""
    await processor.schedule_job("echo", {"card_number": "4111222233334444", "user": {"pin": 1}})
    async with client_of(create_app(processor)) as client:
        for field in ("card_number=4111222233334444", "user.pin=1"):
            for path in ("/jobs", "/api/jobs"):
                answer = await client.get(path, params={"payload": field})
                assert answer.status_code == 400, path
                assert "hidden" in answer.text
            form = {"csrf": await token_of(client), "do": "kill", "all": "1", "back": "/jobs"}
            answer = await client.post("/act", data={**form, "filter_payload": field})
            assert "hidden" in str(answer.headers.get("location", answer.text))
    assert await processor.count_jobs(10, status="pending") == 1


async def test_a_job_shows_nothing_that_its_payload_hides(processors: Processors) -> None:
    """Error, attempts, log, progress and result are cleaned of it, on the page and in the API."""

    async def work(payload: dict[str, Any], context: Context) -> str:
        secret = payload["password"]
        context.progress(0.5, secret)
        context.log(f"sent {secret}")
        if context.attempt == 1:
            raise RuntimeError(f"refused {secret}")
        return f"got {secret}"

    processor = await processors.make(jobs={"work": JobDef(work, retry=Retry(delay=0))})
    job = await processor.schedule_job("work", {"password": "hunter2"})
    await processors.worker(processor)
    done = await processor.wait_for_job(job.id)
    assert done.output is not None
    assert done.output.result == "got hunter2"
    async with client_of(create_app(processor, lambda _: "read_only")) as client:
        for path in (f"/jobs/{job.id}", "/jobs", f"/api/jobs/{job.id}", "/api/jobs", "/api/status"):
            text = (await client.get(path)).text
            assert "[redacted]" in text, path
            assert "hunter2" not in text, path


async def test_run_again_restores_for_the_same_name_only(processors: Processors) -> None:
    """And a payload that its class refuses is refused without its values, nowhere in the answer."""

    async def login(payload: Credentials) -> None: ...

    async def show(payload: dict[str, Any]) -> None: ...

    processor = await processors.make(jobs={"login": JobDef(login), "show": JobDef(show)})
    job = await processor.schedule_job("login", {"password": "hunter2"})
    async with client_of(create_app(processor)) as client:
        form = {"csrf": await token_of(client), "do": "schedule", "of": str(job.id), "back": "/"}
        for name, payload in (
            ("show", '{"password": "[redacted]"}'),
            ("login", '{"password": "[redacted]", "n": "x"}'),
        ):
            answer = await client.post("/act", data={**form, "name": name, "payload": payload})
            assert "hunter2" not in f"{answer.headers} {answer.text}"
        answer = await client.post(
            "/api/jobs", json={"name": "login", "payload": {"password": "hunter2", "n": "x"}}
        )
        assert answer.status_code == 422
        assert "hunter2" not in answer.text
        assert "n" in answer.json()["detail"]
    assert await processor.count_jobs(10) == 1


async def test_access_is_asked_for_each_request(processor: JobProcessor) -> None:
    """All, read only, forbidden, plain or async; what is something else is no access."""
    job = await processor.schedule_job("echo")
    answers: list[Any] = []

    async def ask(request: Any) -> Any:
        return answers[0]

    async with client_of(create_app(processor, ask)) as client:
        answers[:] = ["all"]
        token = await token_of(client)
        form = {"csrf": token, "do": "kill", "id": str(job.id), "back": "/jobs"}
        answers[:] = ["forbidden"]
        for path in [*PAGES, f"/jobs/{job.id}", "/api/jobs", "/live", "/static/app.css"]:
            assert (await client.get(path)).status_code == 403, path
        answers[:] = ["read_only"]
        page = await client.get(f"/jobs/{job.id}")
        assert page.status_code == 200
        assert 'name="do"' not in page.text
        for answer in (
            await client.post("/act", data=form),
            await client.post(f"/api/jobs/{job.id}/kill"),
            await client.post("/api/jobs", json={"name": "echo"}),
            await client.delete(f"/api/jobs/{job.id}"),
        ):
            assert answer.status_code == 403
        answers[:] = ["everything"]
        assert (await client.get("/jobs")).status_code != 200
        unchanged = await processor.get_job(job.id)
        assert unchanged == job
        answers[:] = ["all"]
        assert (await client.post("/act", data=form)).status_code == 200
    assert (await processor.wait_for_job(job.id)).status == "killed"


async def test_a_login(processor: JobProcessor) -> None:
    """By token or by name and password; anything else is asked to log in."""
    login = Login("a-token-of-some-length", "ada", "secret word", "read_only")
    async with client_of(create_app(processor, login)) as client:
        refused = [{}, {"authorization": "Bearer other"}, basic("ada", "wrong"), basic("", "")]
        refused += [basic("bob", "secret word"), {"authorization": "Basic %%%"}]
        for headers in refused:
            answer = await client.get("/jobs", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic realm")
        right = [{"authorization": "Bearer a-token-of-some-length"}, basic("ada", "secret word")]
        for headers in [*right, basic("whoever", "a-token-of-some-length")]:
            assert (await client.get("/jobs", headers=headers)).status_code == 200
            answer = await client.post("/api/jobs", json={"name": "echo"}, headers=headers)
            assert answer.status_code == 403


async def test_forged_requests(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """A form without the token of the cookie, and what another site sends, change nothing."""
    job = await processor.schedule_job("echo")
    token = await token_of(client)
    form = {"do": "kill", "id": str(job.id), "back": "/"}
    for csrf in ({}, {"csrf": ""}, {"csrf": "x" * 32}):
        assert (await client.post("/act", data={**form, **csrf})).status_code == 403
    others = [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]
    others += [{"origin": "http://evil.example"}, {"origin": "null"}]
    for headers in others:
        answer = await client.post("/act", data={**form, "csrf": token}, headers=headers)
        assert answer.status_code == 403
        answer = await client.post(f"/api/jobs/{job.id}/kill", headers=headers)
        assert answer.status_code == 403
    client.cookies.delete(COOKIE)
    assert (await client.post("/act", data={**form, "csrf": token})).status_code == 403
    assert await processor.get_job(job.id) == job


async def test_headers(client: httpx.AsyncClient) -> None:
    """No script but ours, no framing, nothing kept, a cookie that stays here."""
    for path in (*PAGES, "/api/jobs", "/nothing", "/static/app.js"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == (
            "DENY",
            "nosniff",
        )
    assert (await client.get("/jobs")).headers["cache-control"] == "no-store"
    async with client_of(client._transport.app) as fresh:  # type: ignore[attr-defined]  # it has no cookie yet
        cookie = (await fresh.get("/jobs")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_no_inline_script_and_no_other_host(client: httpx.AsyncClient) -> None:
    """The pages work under their own policy."""
    for path in PAGES:
        text = (await client.get(path)).text
        assert re.findall(r"<script(?![^>]* src=)", text) == []
        assert re.findall(r"\son\w+=|\sstyle=|javascript:", text) == []
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', text) == []


async def test_hostile_strings(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Names, payloads, results and errors are text wherever they are shown."""
    await processor.schedule_job(HOSTILE, {HOSTILE: HOSTILE, "text": HOSTILE})
    job = await processor.schedule_job("echo", {"a": HOSTILE})
    await processor.run_worker(burst=True)
    pages = [*PAGES, f"/jobs/{job.id}", "/jobs?status=errored", "/jobs?error=%3Cscript%3E"]
    pages += [f"/jobs?name={HOSTILE.replace('&', '%26')}", "/?done=%3Cscript%3Ealert(1)"]
    pages += ["/jobs?status=%3Cscript%3Ealert(1)", "/%3Cscript%3Ealert(1)"]
    for path in pages:
        text = (await client.get(path)).text
        assert "<script>alert" not in text, path
        assert "49" not in re.findall(r"&lt;/script&gt;\S*", text), path
    listed = (await client.get(f"/jobs/{job.id}")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in listed


async def test_a_way_back_stays_here(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """No form leads to another site."""
    token = await token_of(client)
    for back in (
        *("//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""),
        *("/\t/evil.example", "/\n/evil.example", "/ /evil.example", "/\x85/evil.example"),
    ):
        form = {"csrf": token, "do": "pause", "name": "echo", "back": back}
        answer = await client.post("/act", data=form, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"


async def test_who_did_what(processor: JobProcessor, caplog: pytest.LogCaptureFixture) -> None:
    """Is kept, with a login's name; what was looked for, and payloads, stand in no log."""
    job = await processor.schedule_job("echo", {"note": "private-words"})
    with caplog.at_level(logging.DEBUG, "job_processor"):
        async with client_of(create_app(processor, Login(None, "ada", "secret word"))) as client:
            client.headers.update(basic("ada", "secret word"))
            token = await token_of(client)
            form = {"csrf": token, "do": "kill", "id": str(job.id), "back": "/jobs"}
            answer = await client.post("/act", data=form)
            assert str(job.id) in answer.text
            await client.get("/jobs?payload=note%3Dprivate-words")
            page = (await client.get("/audit")).text
    (entry,) = await processor.get_audit()
    assert (entry.who, entry.action, entry.subject) == ("ada", "kill", str(job.id))
    assert "ada" in page
    ours = [record.getMessage() for record in caplog.records if "httpx" not in record.name]
    assert "private-words" not in "\n".join(ours)


async def test_what_is_hidden(processor: JobProcessor) -> None:
    """By a pattern of one's own, by none; on pages and in the API, at any depth."""
    payload = {"user": [{"PassWord": "p1", "iban": "DE1"}], "api_key": "k1"}
    job = await processor.schedule_job("echo", payload)
    expected: list[tuple[dict[str, Any], set[str]]] = [
        ({}, set()),
        ({"redact": "iban"}, {"p1", "k1"}),
        ({"redact": "(?!)"}, {"p1", "k1", "DE1"}),
    ]
    for options, shown in expected:
        async with client_of(create_app(processor, **options)) as client:
            for path in (f"/jobs/{job.id}", f"/api/jobs/{job.id}", "/api/jobs", "/api/status"):
                text = (await client.get(path)).text
                assert {each for each in ("p1", "k1", "DE1") if each in text} == shown, path


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"processor": "mine"}, "processor"),
        ({"access": "all"}, "access"),
        ({"redact": "("}, "redact"),
        ({"redact": 7}, "redact"),
    ],
)
def test_bad_arguments(arguments: Any, argument: str) -> None:
    """The error names the argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        create_app(**{"processor": JobProcessor("sqlite://"), **arguments})
    assert caught.value.argument == argument
