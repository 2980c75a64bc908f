"""Metrics for Prometheus to fetch: a small HTTP server in one thread, however many connect.

The server of `prometheus_client` has a thread for each connection, silent ones too, for ever.
"""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from typing import Any, TypeAlias

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

REQUEST_TIME = 5.0
"""Seconds that a request has to be here, and its answer to be fetched."""

MOST = 64
"""Connections at a time; beyond, the oldest is closed for the newest."""

Answer: TypeAlias = Callable[[str], Awaitable[tuple[int, Mapping[str, Any]]]]
"""Takes the query of an address; returns a status, and what is sent as JSON."""

_JSON = [("Content-Type", "application/json")]
_BACKLOG = 32
_HEAD = 16 * 1024  # bytes of a request's first line and headers


@contextmanager
def serve(
    port: int,
    registry: CollectorRegistry = REGISTRY,
    *,
    host: str = "127.0.0.1",
    scaling: Answer | None = None,
) -> Iterator[int]:
    """Serve the metrics of a registry over HTTP for a block; yields the port.

    port: the port to listen on; 0: any free one.
    registry: None: the default one of `prometheus_client`.
    host: the address to listen on.
    scaling: answers requests for `/scaling`, in the event loop of the server; None: 404.

    Raises OSError if the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listening:
        exposition = Exposition(registry, scaling)
        ready = threading.Event()
        serving = exposition.serve(listening, ready)
        thread = threading.Thread(target=asyncio.run, args=(serving,), name="metrics", daemon=True)
        thread.start()
        ready.wait()
        try:
            yield int(listening.getsockname()[1])
        finally:
            exposition.stop()
            thread.join()


class Exposition:
    """Answers each connection once, with what a registry holds."""

    def __init__(self, registry: CollectorRegistry, scaling: Answer | None = None) -> None:
        self._scaling = scaling
        self._answer = make_wsgi_app(registry)
        self._open: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    async def serve(self, listening: socket.socket, ready: threading.Event) -> None:
        """Serve on a socket until it is stopped; tells when it can be."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            self._on_connection, sock=listening.dup(), limit=_HEAD, backlog=_BACKLOG
        )
        ready.set()
        await self._stopped.wait()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def stop(self) -> None:
        """End it, from another thread."""
        assert self._loop is not None  # noqa: S101  # it has begun
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open[writer] = None
        if len(self._open) > MOST:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        try:
            async with asyncio.timeout(REQUEST_TIME):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._response(head))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was has not asked, or is gone
        finally:
            self._open.pop(writer, None)
            with suppress(RuntimeError):  # the loop ends
                writer.transport.abort()

    async def _response(self, head: bytes) -> bytes:
        try:
            environ = _environ(head)
        except (HTTPException, ValueError):
            return _bytes("400 Bad Request", [], b"")
        if self._scaling is not None and environ["PATH_INFO"] == "/scaling":
            status, told = await self._scaling(environ["QUERY_STRING"])
            return _bytes(_status(status), _JSON, json.dumps(told).encode())
        begun: list[Any] = []
        body = b"".join(self._answer(environ, lambda *start: begun.extend(start)))
        return _bytes(begun[0], begun[1], body)


def _environ(head: bytes) -> dict[str, str]:
    """Return what a WSGI application is told of a request; raises ValueError and HTTPException."""
    line, _, rest = head.partition(b"\r\n")
    method, target, _version = line.decode("latin-1").split(" ")
    path, _, query = target.partition("?")
    headers = parse_headers(io.BytesIO(rest))
    told = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    return {**told, "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}


def _status(number: int) -> str:
    return f"{number} {HTTPStatus(number).phrase}"


def _bytes(status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    last = [("Content-Length", str(len(body))), ("Connection", "close")]
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in [*headers, *last])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
