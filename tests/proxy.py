"""A proxy between a client and a MongoDB server that loses replies, or everything, on command."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from pymongo.uri_parser import parse_uri

from tests.mongo_server import primary_of

_OF_THE_SET: Final = {"replicaset", "directconnection", "readpreference", "readpreferencetags"}
"""Options of an address that say which server of several is meant: behind a proxy there is one."""

_NOT_PROXIED: Final = ("tls", "loadBalanced")
"""Options of a server that can only be spoken to under its own name."""

_HEADER: Final = struct.Struct("<iii")  # length, request id, id of the request it answers


class Proxy:
    """Forwards messages of MongoDB's wire protocol, whole ones, in both directions.

    Of several servers it stands before the one that takes the writes.

    Use it as an async context manager, and reach the server through `url()`. It runs in the event
    loop of the test; a client in a thread may use it too.

    Args:
        server_url: the server behind it.
    """

    def __init__(self, server_url: str) -> None:
        named = parse_uri(server_url)
        for option in _NOT_PROXIED:
            if named["options"].get(option):
                pytest.skip(f"no proxy can stand before a server with {option}=true")
        self._target = primary_of(server_url)
        self._user = ":".join(
            quote(named[part], safe="") for part in ("username", "password") if named[part]
        )
        self._options = {
            name: value
            for name, value in parse_qsl(urlsplit(server_url).query)
            if name.lower() not in _OF_THE_SET
        }
        if self._user and "authsource" not in map(str.lower, self._options):
            self._options["authSource"] = named["database"] or "admin"
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._port = 0
        self._needle: bytes | None = None
        self._times = 0
        self._refusing = False
        self._hanging: bytes | None = None
        self.requests: list[bytes] = []
        """Every request that was forwarded, as sent."""
        self.swallowed = 0
        """How many replies were lost."""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refusing = True  # also of who has come already and was not served yet
        if self._listener is not None:
            self._listener.close()
        await self._close_all()

    def url(self, database: str, **options: object) -> str:
        """Return the address of a database behind the proxy, and not around it."""
        all_of_them = {**self._options, **options, "directConnection": "true"}
        given = urlencode(all_of_them)
        user = f"{self._user}@" if self._user else ""
        return f"mongodb://{user}127.0.0.1:{self._port}/{database}?{given}"

    def swallow_reply(self, to: str, *, times: int = 1) -> None:
        """Lose the replies to the next requests that contain `to`, and close their connections.

        The server gets and executes those requests.
        """
        self._needle, self._times = to.encode(), times

    def hang(self, on: str = "") -> None:
        """From now on, give no reply to a request that contains `on`, until `restore()`.

        The server gets and executes it; the connection stays open, and its later replies come.
        """
        self._hanging = on.encode()

    async def cut(self) -> None:
        """Close every connection, and each new one, until `restore()`."""
        self._refusing = True
        await self._close_all()

    def restore(self) -> None:
        """Let connections and replies through again."""
        self._refusing = False
        self._hanging = None

    def loses_reply_to(self, request: bytes) -> bool:
        """Count a request that is forwarded; True when its reply is to be lost."""
        self.requests.append(request)
        if self._times == 0 or self._needle is None or self._needle not in request:
            return False
        self._times -= 1
        return True

    def hangs_on(self, request: bytes) -> bool:
        """True for a request that is to get no reply."""
        return self._hanging is not None and self._hanging in request

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(self, reader, writer)
        self._connections[task] = connection
        try:
            await connection.run(*self._target)
        finally:
            writer.close()
            del self._connections[task]

    async def _close_all(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Connection:
    """One client's connection, and ours to the server for it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._lost: set[int] = set()
        self._hung: set[int] = set()

    async def run(self, host: str, port: int) -> None:
        """Forward until one side closes, a reply is lost, or we are cancelled."""
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            return
        ways = [
            asyncio.create_task(self._forward_requests(writer)),
            asyncio.create_task(self._forward_replies(reader)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the proxy cuts this connection
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            writer.close()

    async def _forward_requests(self, to_server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = await _read_message(self._reader)
                if self._proxy.loses_reply_to(request):
                    self._lost.add(_HEADER.unpack_from(request)[1])
                elif self._proxy.hangs_on(request):
                    self._hung.add(_HEADER.unpack_from(request)[1])
                to_server.write(request)
                await to_server.drain()

    async def _forward_replies(self, from_server: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                reply = await _read_message(from_server)
                if _HEADER.unpack_from(reply)[2] in self._lost:
                    self._proxy.swallowed += 1
                    return
                if _HEADER.unpack_from(reply)[2] in self._hung:
                    continue
                self._writer.write(reply)
                await self._writer.drain()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "little") - 4)
