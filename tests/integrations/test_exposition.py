"""The port of the metrics: what it answers, and what connections cost that say nothing."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from job_processor.integrations import exposition
from job_processor.integrations.exposition import serve
from tests.processors import WAIT


@pytest.fixture
def port() -> Iterator[int]:
    """Where a registry with one counter is served."""
    registry = CollectorRegistry()
    Counter("served", "How often", registry=registry).inc(7)
    with serve(0, registry) as port:
        yield port


def connect(port: int) -> socket.socket:
    """Return a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT)


def scraped(port: int, path: str = "/metrics") -> str:
    """Return what Prometheus would fetch."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT) as answer:
        text: str = answer.read().decode()
    return text


def said(port: int, request: bytes) -> bytes:
    """Return all that is answered to these bytes."""
    with connect(port) as connection:
        connection.sendall(request)
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                parts.append(part)
    return b"".join(parts)


def test_silence_costs_no_thread_and_closes_nobody_out(
    port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of connections that say nothing, or half a request, cost one thread together."""
    monkeypatch.setattr(exposition, "REQUEST_TIME", 600.0)
    before = set(threading.enumerate())
    with caplog.at_level(logging.DEBUG), contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(port))
        for n in range(400):
            connection = stack.enter_context(connect(port))
            if n % 2:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")
            if n % 25 == 0:  # more would not be accepted yet, and try again after a second
                assert "served_total 7.0" in scraped(port)
        assert set(threading.enumerate()) - before == set()
        assert "served_total 7.0" in scraped(port)
        with contextlib.suppress(ConnectionResetError):
            assert first.recv(1) == b""  # the oldest made room
    assert [record for record in caplog.records if record.name != "asyncio"] == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_silence_ends(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a whole request is closed after its time."""
    monkeypatch.setattr(exposition, "REQUEST_TIME", 0.2)
    for begun in (b"", b"GET /metrics HTTP/1.1\r\n"):
        assert said(port, begun) == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK"),
        (b"GET / HTTP/1.0", b"200 OK"),
        (b"GET /favicon.ico HTTP/1.1", b"200 OK"),
        (b"OPTIONS /metrics HTTP/1.1", b"200 OK"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"nonsense", b"400 Bad Request"),
        (b"\xff\xfe \x00 \x01", b"405 Method Not Allowed"),
        (b"", b"400 Bad Request"),
    ],
)
def test_what_is_answered(port: int, request_line: bytes, status: bytes) -> None:
    """Whatever is asked is answered, and the connection is closed."""
    answer = said(port, request_line + b"\r\nhost: x\r\nbad header\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_a_head_that_is_too_long(port: int) -> None:
    """Is read no further."""
    assert said(port, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000) == b""
    assert "served_total 7.0" in scraped(port)


def test_one_metric_compressed(port: int) -> None:
    """Names and encodings that Prometheus asks for are honoured."""
    assert "served_created" not in scraped(port, "/metrics?name[]=served_total")
    request = b"GET /metrics HTTP/1.1\r\naccept-encoding: gzip\r\n\r\n"
    assert b"gzip" in said(port, request)


def test_its_address() -> None:
    """It is this machine's own, unless another is given; one that is not ours is an error."""
    with serve(0, CollectorRegistry()) as port, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=WAIT)
    with serve(0, CollectorRegistry(), host="127.0.0.2") as port:
        socket.create_connection(("127.0.0.2", port), timeout=WAIT).close()
    with pytest.raises(OSError, match="assign"), serve(0, CollectorRegistry(), host="192.0.2.1"):
        pass
