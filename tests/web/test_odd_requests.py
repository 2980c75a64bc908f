"""Whatever is sent is answered, and no header, path or body is an error of the server."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from tests.web.forms import csrf_of


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what is no request does not depend on it."""
    return sqlite_db_url


ODD = [
    ("GET", "/jobs", {"authorization": "Basic \xe9"}, None),
    ("GET", "/jobs", {"cookie": "\xff=\xfe; a; =b; job_processor_told=\xe9"}, None),
    ("GET", "/jobs", {"accept-language": "fr;q=x,,;q=,\xe9"}, None),
    ("GET", "/jobs?\xff=%ff&name=%00", {}, None),
    ("GET", "/jobs/%00", {}, None),
    ("GET", "/%ff%fe", {}, None),
    ("POST", "/api/jobs", {"origin": "http://["}, b"{}"),
    ("POST", "/act", {"content-type": "application/x-www-form-urlencoded"}, b"\xff=%ff&csrf=%ff"),
    ("POST", "/act", {"content-type": "\xff"}, b"csrf=x"),
    ("POST", "/api/jobs", {"content-type": "application/json"}, b"\xff\xfe"),
    ("POST", "/api/jobs", {"content-type": "application/json", "content-length": "x"}, b"{}"),
    ("POST", "/api/jobs", {"content-type": "application/json"}, b'{"name": "\\ud800"}'),
    ("POST", "/api/jobs", {"content-type": "application/json"}, b'{"name": {"a": 1}}'),
    ("POST", "/api/jobs", {"content-type": "application/json"}, b'{"name":"echo","priority":1e99}'),
    ("PATCH", "/jobs", {}, None),
    ("TRACE", "/", {}, None),
]


@pytest.mark.parametrize(("method", "path", "headers", "body"), ODD)
async def test_whatever_is_sent_is_answered(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes | None
) -> None:
    """No header, path or body is an error of the server, and each answer has our headers."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await client.request(method, path, headers=raw, content=body)
    assert answer.status_code < 500, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["permissions-policy"]


async def test_a_payload_of_very_many_levels(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Is refused in a sentence, in the form and in the API, and nothing is scheduled."""
    job = await processor.schedule_job("echo", {"password": "x"})
    page = (await client.get("/jobs")).text
    for depth in (91, 900, 50_000):
        text = '{"a": ' + "[" * depth + "]" * depth + "}"
        form = {"csrf": csrf_of(page), "do": "schedule", "name": "echo", "payload": text}
        answer = await client.post("/act", data={**form, "of": str(job.id), "back": "/jobs"})
        assert answer.status_code == 200
        assert 'role="alert"' in answer.text
        body = f'{{"name": "echo", "payload": {text}}}'.encode()
        answer = await client.post(
            "/api/jobs", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 422)
    assert await processor.count_jobs() == 1
