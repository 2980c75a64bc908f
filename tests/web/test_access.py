"""Who may come in: secrets as they are given, as they are checked, and what wrong ones cost."""

from __future__ import annotations

import asyncio
import base64
import logging
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from job_processor import InvalidArgumentError, JobProcessor
from job_processor.web import Login, OpenDashboardWarning, create_app, throttle
from job_processor.web.throttle import Throttle, pause_after
from tests.web.conftest import client_of
from tests.web.forms import csrf_of

TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone
PASSWORD = "correct horse"  # noqa: S105  # the same


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: who may come in does not depend on it."""
    return sqlite_db_url


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong secrets are answered at once, but where a test says otherwise."""
    monkeypatch.setattr(throttle, "FREE", 10_000)


def basic(text: str | bytes) -> str:
    """Return a header of HTTP Basic."""
    raw = text.encode() if isinstance(text, str) else text
    return f"Basic {base64.b64encode(raw).decode()}"


UNREADABLE = [
    "Bearer",
    "Bearer ",
    basic("x:"),
    basic(":"),
    basic(""),
    "Basic %%%",
    "Basic",
    "Basic ",
    "Basic \xe9",
    basic(b"\xff\xfe:\xff"),
    basic("no colon"),
    "Bearer \x00",
    "Digest x",
    "",
    " ",
    f"Basic {TOKEN}",
    f"Token {TOKEN}",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN.upper()}",
    basic(f"ada:{TOKEN[:-1]}"),
    basic(f"bob:{PASSWORD}"),
    basic(f"ada:{PASSWORD}:"),
    basic(f"Ada:{PASSWORD}"),
]


@pytest.mark.parametrize("header", UNREADABLE)
async def test_what_cannot_be_read_is_no(processor: JobProcessor, header: str) -> None:
    """An `Authorization` that is empty, cut, misspelt or no text at all lets nobody in."""
    sent = [(b"authorization", header.encode("latin-1"))]
    logins = [Login(TOKEN, "ada", PASSWORD), Login(TOKEN), Login(None, "ada", PASSWORD)]
    for login in logins:
        async with client_of(create_app(processor, login)) as client:
            for path in ("/", "/jobs", "/api/jobs", "/live"):
                assert (await client.get(path, headers=sent)).status_code == 401
            answer = await client.post("/api/jobs", headers=sent, json={"name": "echo"})
            assert answer.status_code == 401
    assert (await processor.find_jobs()).jobs == ()


async def test_two_headers_are_no_login(processor: JobProcessor) -> None:
    """A request that says twice who makes it is believed neither time."""
    sent = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"authorization", b"Bearer other")]
    async with client_of(create_app(processor, Login(TOKEN))) as client:
        assert (await client.get("/jobs", headers=sent)).status_code == 401
        assert (await client.get("/jobs", headers=sent[:1])).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "token"),
        (("",), "token"),
        (("   ",), "token"),
        (("\t\n",), "token"),
        (("short-secret-15",), "token"),
        ((" " * 40,), "token"),
        ((f"{TOKEN}\n",), "token"),
        ((f" {TOKEN}",), "token"),
        ((7,), "token"),
        ((TOKEN.encode(),), "token"),
        (("", None, None), "token"),
        ((None, "", ""), "user"),
        ((None, "ada", None), "password"),
        ((None, "ada", ""), "password"),
        ((None, "ada", "        "), "password"),
        ((None, "ada", "short-7"), "password"),
        ((None, None, PASSWORD), "user"),
        ((None, " ", PASSWORD), "user"),
        ((None, "a:b", PASSWORD), "user"),
        ((TOKEN, "ada", ""), "password"),
        ((TOKEN, None, None, "everything"), "access"),
    ],
)
def test_a_secret_that_is_none(arguments: Any, named: str) -> None:
    """One that is empty, blank or short is an error where it is given, which does not show it."""
    with pytest.raises(InvalidArgumentError) as caught:
        Login(*arguments)
    assert caught.value.argument == named
    assert "short-" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_login_does_not_show_its_secrets() -> None:
    """Its `repr` has none."""
    shown = repr(Login(TOKEN, "ada", PASSWORD))
    assert TOKEN not in shown
    assert PASSWORD not in shown


async def test_who_gave_the_token(processor: JobProcessor) -> None:
    """Is "token" in the audit, whatever name, line break or address the request brings."""
    async with client_of(create_app(processor, Login(TOKEN))) as client:
        for name in ("ada", "<b>root</b>", "a\nb", ""):
            headers = {"authorization": basic(f"{name}:{TOKEN}"), "x-forwarded-for": "10.9.8.7"}
            await client.post("/api/jobs", headers=headers, json={"name": "echo"})
    assert [entry.who for entry in await processor.get_audit()] == ["token"] * 4


async def test_wrong_secrets_are_logged(
    processor: JobProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address and without the value; no secret at all is no attempt, and no line."""
    wrong = "Bearer this-is-not-the-token"
    with caplog.at_level(logging.WARNING, "job_processor"):
        async with client_of(create_app(processor, Login(TOKEN))) as client:
            await client.get("/jobs")
            assert caplog.records == []
            for _ in range(35):
                await client.get("/jobs", headers={"authorization": wrong})
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 12  # ten, and then each tenth
    assert all("127.0.0.1" in line and "this-is-not" not in line for line in lines)


async def test_wrong_secrets_are_slowed_down(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal waits, longer each time; the right secret from the same address never does."""
    monkeypatch.setattr(throttle, "FREE", 0)
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 30.0)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 3000.0)
    async with client_of(create_app(processor, Login(TOKEN)), timeout=None) as client:
        wrong = [
            asyncio.create_task(client.get("/jobs", headers={"authorization": f"Bearer {n}"}))
            for n in range(20)
        ]
        done, _ = await asyncio.wait(wrong, timeout=0.3)
        assert done == set()
        answer = await client.get("/jobs", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        answer = await client.get("/jobs")  # it brings no secret, so it is no attempt
        assert answer.status_code == 401
        for each in wrong:
            each.cancel()
        await asyncio.gather(*wrong, return_exceptions=True)


def test_how_long_a_refusal_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at all for who mistypes, then twice as long each time, and never longer than it says."""
    monkeypatch.setattr(throttle, "FREE", 2)
    pauses = [pause_after(count) for count in range(1, 12)]
    assert pauses[:5] == [0, 0, 0.1, 0.2, 0.4]
    assert pauses[-1] == pause_after(10**9) == throttle.LONGEST_PAUSE


async def test_a_flood_of_addresses_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of addresses is bounded, and one has all of its network of IPv6."""
    monkeypatch.setattr(throttle, "ADDRESSES", 50)
    kept = Throttle()
    for n in range(500):
        await kept.refuse(f"10.0.{n // 250}.{n % 250}")
    assert len(kept._failures) == 50
    for n in range(9):
        await kept.refuse(f"2001:db8::{n + 1}")
    assert kept._failures["2001:db8::/64"].count == 9
    monkeypatch.setattr(throttle, "MEMORY", -1.0)
    await kept.refuse("2001:db8::1")
    assert kept._failures["2001:db8::/64"].count == 1


class From:
    """An ASGI middleware: requests come from an address."""

    def __init__(self, app: Any, address: str) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await self._app({**scope, "client": (self._address, 1)}, receive, send)


@pytest.mark.parametrize(
    ("address", "headers", "options", "expected"),
    [
        ("10.0.0.9", {}, {}, 1),
        ("2001:db8::1", {}, {}, 1),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.9"}, {}, 1),
        ("127.0.0.1", {}, {}, 0),
        ("::1", {}, {}, 0),
        ("10.0.0.9", {}, {"access": lambda _: "all"}, 0),
    ],
)
async def test_a_dashboard_that_is_open_to_others(
    processor: JobProcessor,
    caplog: pytest.LogCaptureFixture,
    address: str,
    headers: dict[str, str],
    options: dict[str, Any],
    expected: int,
) -> None:
    """Says so once, by a warning and in the log, unless `access` says that it is wanted."""
    app = Starlette(routes=[Mount("/queue", create_app(processor, **options))])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with client_of(From(app, address), headers=headers) as client:
            for _ in range(3):
                assert (await client.get("/queue/jobs")).status_code == 200
    told = [each for each in caught if each.category is OpenDashboardWarning]
    assert len(told) == expected
    assert all("access=lambda request: 'all'" in str(each.message) for each in told)
    assert sum("no access check" in line for line in caplog.messages) == expected


@pytest.fixture
async def read_only(processor: JobProcessor) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may only look."""
    async with client_of(create_app(processor, lambda _: "read_only")) as client:
        yield client


async def test_who_may_only_look_chooses_a_language(read_only: httpx.AsyncClient) -> None:
    """The switch of the language works for everybody who sees it, and nothing else does."""
    text = (await read_only.get("/jobs")).text
    csrf = csrf_of(text)
    form = {"csrf": csrf, "language": "fr", "back": "/jobs"}
    answer = await read_only.post("/language", data=form)
    assert answer.status_code == 200
    assert 'lang="fr"' in answer.text
    forged = {"sec-fetch-site": "cross-site"}
    assert (await read_only.post("/language", data=form, headers=forged)).status_code == 403
    assert (await read_only.post("/language", data={**form, "csrf": "x"})).status_code == 403
    assert (await read_only.post("/act", data={**form, "do": "pause"})).status_code == 403


async def test_a_check_that_fails_lets_nobody_in(processor: JobProcessor) -> None:
    """An error of an access check is a 500 with our headers, and does nothing."""

    def broken(request: Any) -> Any:
        raise RuntimeError("no")

    async with client_of(create_app(processor, broken)) as client:
        answer = await client.get("/jobs")
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "no" not in answer.json()["detail"].split()
