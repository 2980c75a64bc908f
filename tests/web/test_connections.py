"""The port of the dashboard: connections that say nothing, or never end what they begin."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.web import Login, connections, create_app, forms, guard, throttle
from job_processor.web.connections import Connection, Connections
from tests.cli.processes import environment
from tests.processors import WAIT, eventually
from tests.web.conftest import client_of, served
from tests.web.forms import csrf_of

TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone
RIGHT = {"authorization": f"Bearer {TOKEN}"}
HALF = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n"


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: connections do not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def few() -> AsyncIterator[Connections]:
    """The connections of a server, of which few may be open, swept as by the server."""
    made = Connections()
    made.most = 20
    sweeping = asyncio.create_task(made.sweep())
    yield made
    sweeping.cancel()


@pytest.fixture
async def address(processor: JobProcessor, few: Connections) -> AsyncIterator[str]:
    """Where a dashboard with a login is served."""
    protocol: Any = functools.partial(Connection, few)
    async with served(create_app(processor, Login(TOKEN)), http=protocol, ws="none") as address:
        yield address


class Crowd:
    """Connections that are opened and kept."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._place = host, int(port)
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def say(self, *parts: bytes) -> asyncio.StreamReader:
        """Open one, say this and no more; return what is answered."""
        reader, writer = await asyncio.open_connection(*self._place)
        self._writers.append(writer)
        for part in parts:
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        return reader


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the other side closes."""
    with contextlib.suppress(ConnectionError):
        return await reader.read()
    return b""


async def looks(address: str) -> int:
    """Return the status that somebody with the right login gets."""
    async with httpx.AsyncClient(timeout=WAIT) as client:
        return (await client.get(f"{address}/jobs", headers=RIGHT)).status_code


@pytest.mark.parametrize("said", [b"", HALF, HALF + b"\r\n" + HALF])
async def test_silence_closes_nobody_out(address: str, few: Connections, said: bytes) -> None:
    """With as many silent connections as there may be, and more, a newcomer is answered at once."""
    async with Crowd(address) as crowd:
        readers = []
        for n in range(3 * few.most):
            readers.append(await crowd.say(said))
            if n % 15 == 0:
                assert await looks(address) == 200
        assert await looks(address) == 200
        assert len(few._open) <= few.most
        await asyncio.wait_for(ended(readers[0]), 20)  # it made room


@pytest.mark.parametrize("said", [b"", HALF, b"x"])
async def test_silence_ends(address: str, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """A connection whose request does not come is closed; the next request has as long."""
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.2)
    monkeypatch.setattr(connections, "_SWEEP", 0.05)
    async with Crowd(address) as crowd:
        await asyncio.wait_for(ended(await crowd.say(said)), WAIT)


async def test_a_body_that_is_sent_for_ever(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was refused cannot go on to send the body, a byte at a time."""
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.3)
    async with Crowd(address) as crowd:
        head = b"POST /act HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
        reader = await crowd.say(head)
        assert b" 401 " in await asyncio.wait_for(reader.readline(), WAIT)
        writer = crowd._writers[-1]
        async with asyncio.timeout(WAIT):
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"x")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(65536), 0.05)


async def test_who_is_held_back_makes_room(
    address: str, few: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guesses whose refusal is delayed, on all connections, keep nobody else out."""
    monkeypatch.setattr(throttle, "FREE", 0)
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 3000.0)
    monkeypatch.setattr(throttle, "LONGEST_PAUSE", 3000.0)
    wrong = HALF + b"authorization: Bearer wrong\r\n\r\n"
    async with Crowd(address) as crowd:
        for _ in range(2 * few.most):
            await crowd.say(wrong)
        assert await looks(address) == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/act", "application/x-www-form-urlencoded"), ("/api/jobs", "application/json")],
)
async def test_a_body_that_does_not_come(
    address: str, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    """Is waited for in bounded time, in all and between two parts; then the connection ends."""
    monkeypatch.setattr(forms, "SILENCE", 0.2)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    head += f"content-type: {kind}\r\ncontent-length: 100\r\n\r\nabc"
    async with Crowd(address) as crowd:
        answer = await asyncio.wait_for(ended(await crowd.say(head.encode())), WAIT)
    assert b" 408 " in answer.partition(b"\r\n")[0]
    monkeypatch.setattr(forms, "SILENCE", 20.0)
    monkeypatch.setattr(forms, "BODY_TIME", 0.2)
    async with Crowd(address) as crowd:
        answer = await asyncio.wait_for(ended(await crowd.say(head.encode())), WAIT)
    assert b" 408 " in answer.partition(b"\r\n")[0]


async def test_a_body_that_is_too_large(processor: JobProcessor) -> None:
    """Is refused by what it says of itself, before any of it is read, or as soon as it is."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b"a&" * 32768

    async with client_of(create_app(processor)) as client:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/act", content=endless(), headers=kind)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert read <= forms.MAX_FORM + 65536 * 2
        kind = {"content-type": "application/json"}
        big = {**kind, "content-length": str(forms.MAX_BODY + 1)}
        assert (await client.post("/api/jobs", content=b"", headers=big)).status_code == 413


async def test_a_form_is_judged_before_it_is_parsed(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong signature costs nothing, whatever stands behind it; too many fields are refused."""
    parsed = []

    def counted(*arguments: Any, **options: Any) -> Any:
        parsed.append(1)
        return parse_qsl(*arguments, **options)

    monkeypatch.setattr(forms, "parse_qsl", counted)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with client_of(create_app(processor)) as client:
        page = (await client.get("/jobs")).text
        csrf = csrf_of(page)
        many = b"&a" * 400_000
        answer = await client.post("/act", content=b"csrf=wrong" + many, headers=kind)
        assert (answer.status_code, parsed) == (403, [])
        own = f"csrf={csrf}".encode()
        answer = await client.post("/act", content=own + many, headers=kind)
        assert answer.status_code == 413
        answer = await client.post("/act", data={"csrf": csrf}, files={"x": b"y"})
        assert answer.status_code == 415


@pytest.mark.parametrize("values", [b"[],", b"1,", b'{"a":1},'])
async def test_json_of_very_many_values(processor: JobProcessor, values: bytes) -> None:
    """Is refused before it is decoded: a few bytes each, they take a hundred times the memory."""
    count = forms.MAX_VALUES + 1
    body = b'{"name": "echo", "payload": {"x": [' + values * count + b"1]}}"
    async with client_of(create_app(processor)) as client:
        headers = {"content-type": "application/json"}
        answer = await client.post("/api/jobs", content=body, headers=headers)
        assert answer.status_code == 413
        body = json.dumps({"name": "echo", "payload": {"x": "y" * 2_000_000}}).encode()
        answer = await client.post("/api/jobs", content=body, headers=headers)
        assert answer.status_code == 201
        deep = b'{"name": "echo", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        answer = await client.post("/api/jobs", content=deep, headers=headers)
        assert answer.status_code == 400


def large(job_id: object) -> bytes:
    """Return a request for the whole of a job."""
    head = f"GET /api/jobs/{job_id} HTTP/1.1\r\nhost: x\r\n"
    return f"{head}authorization: Bearer {TOKEN}\r\n\r\n".encode()


async def test_an_answer_that_nobody_fetches(
    address: str, processor: JobProcessor, few: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is given up after its time, and its connection with it."""
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.3)
    monkeypatch.setattr(connections, "_SWEEP", 0.05)
    job = await processor.schedule_job("echo", {"text": "x" * 12_000_000})
    async with Crowd(address) as crowd:
        await crowd.say(large(job.id))
        crowd._writers[-1].transport.pause_reading()  # type: ignore[attr-defined]  # it can

        async def is_asked() -> bool:
            return any(each.unsent for each in few._open)

        async def is_closed() -> bool:
            return not few._open

        await eventually(is_asked)
        await eventually(is_closed)


async def test_an_answer_that_is_fetched_slowly(
    address: str, processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is sent to its end, however long that takes, as long as it goes on."""
    monkeypatch.setattr(connections, "REQUEST_TIME", 0.3)
    monkeypatch.setattr(connections, "_SWEEP", 0.05)
    job = await processor.schedule_job("echo", {"text": "x" * 12_000_000})
    async with Crowd(address) as crowd:
        reader = await crowd.say(large(job.id))
        await reader.readuntil(b"\r\n\r\n")
        came, began = 0, time.monotonic()
        while came < 12_000_000:
            part = await reader.read(400_000)
            assert part, f"it was cut off after {came} bytes"
            came += len(part)
            await asyncio.sleep(0.03)  # a slow line
        assert time.monotonic() - began > 1


async def test_an_answer_in_parts_that_nobody_fetches(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that waits for its reader is let go, such as that of a mounted dashboard."""
    monkeypatch.setattr(guard, "FETCH_TIME", 0.1)

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    async def nothing() -> Any:
        await asyncio.Event().wait()

    scope: Any = {"type": "http", "method": "GET", "path": "/jobs", "headers": []}
    async with asyncio.timeout(WAIT):
        await create_app(processor)({**scope, "query_string": b""}, nothing, never)


@pytest.mark.slow
def test_a_real_server_of_few_descriptors(tmp_path: Path, sqlite_db_url: str) -> None:
    """A thousand unfinished requests: each of fifty looks is answered, and the log stays empty."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2000, hard), hard))
    command = ["-m", "job_processor", "web", "tests.cli.apps:make", "--port", "0"]
    process = subprocess.Popen(
        ["sh", "-c", 'ulimit -n 512; exec "$@"', "sh", sys.executable, *command],
        env={**environment(sqlite_db_url), "JOB_PROCESSOR_WEB_TOKEN": TOKEN},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert found is not None
        with contextlib.ExitStack() as stack:
            for n in range(1000):
                place = ("127.0.0.1", int(found[1]))
                each = stack.enter_context(socket.create_connection(place, timeout=WAIT))
                each.sendall(HALF if n % 3 else b"\x16\x03\x01\r\n\r\n")
                if n % 20 == 19:
                    answer = httpx.get(f"{found[0]}jobs", headers=RIGHT, timeout=WAIT)
                    assert answer.status_code == 200
            threads = (Path("/proc") / str(process.pid) / "task").iterdir()
            assert len(list(threads)) < 40
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=WAIT)
        assert (process.returncode, rest) == (0, "")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
