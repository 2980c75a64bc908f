"""The streams of open pages: how many there may be, for how long, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette

from job_processor import JobProcessor
from job_processor.web import create_app, live
from job_processor.web.live import Hub
from tests.processors import WAIT, eventually
from tests.web.conftest import client_of

FIRST = "retry: 1000\nevent: change\ndata: now\n\n"


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: streams do not depend on it."""
    return sqlite_db_url


async def always() -> bool:
    """Let everybody look."""
    return True


async def opened(hub: Hub, reader: str) -> AsyncIterator[str]:
    """Return a stream that has begun."""
    stream = hub.messages(reader, always)
    assert await anext(stream) == FIRST
    return stream


async def test_streams_are_bounded(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one login and in all; beyond, 503, and one that ends makes room for another."""
    monkeypatch.setattr(live, "MOST_OF_ONE", 3)
    names = {"user": "ada"}

    def access(request: Any) -> Any:
        request.scope["job_processor.login"] = names["user"]
        return "read_only"

    app = create_app(processor, access)
    hub: Hub = app.state.hub
    hub.most = 5
    streams = [await opened(hub, "ada") for _ in range(3)]
    async with client_of(app) as client:
        answer = await client.get("/live")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        streams += [await opened(hub, "bob") for _ in range(2)]
        names["user"] = "eve"
        assert (await client.get("/live")).status_code == 503
    assert [each async for each in hub.messages("eve", always)] == []
    await streams.pop().aclose()  # type: ignore[attr-defined]  # it is a generator
    streams.append(await opened(hub, "eve"))
    assert hub.listeners == 5
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]  # the same
    assert (hub.listeners, len(hub._readers), hub._forget) == (0, 0, None)


async def test_who_may_look_is_asked_again(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream of somebody who was locked out ends."""
    monkeypatch.setattr(live, "ASK_AGAIN", 0.05)
    answers, asked = ["read_only"], asyncio.Event()

    def access(request: Any) -> Any:
        asked.set()
        return answers[0]

    app: Starlette = create_app(processor, access)
    async with client_of(app, timeout=WAIT) as client:
        reading = asyncio.create_task(client.get("/live"))

        async def listens() -> bool:
            return bool(app.state.hub.listeners == 1)

        await eventually(listens)
        asked.clear()
        await asked.wait()
        assert not reading.done()
        answers[0] = "forbidden"
        answer = await reading  # it ends
        assert answer.text.startswith(FIRST)
        assert (await client.get("/live")).status_code == 403


async def test_a_stream_ends(processor: JobProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, so that each is asked for with what its reader has by then."""
    monkeypatch.setattr(live, "LIFETIME", 0.0)
    async with client_of(create_app(processor), timeout=WAIT) as client:
        assert (await client.get("/live")).text == FIRST
