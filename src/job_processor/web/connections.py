"""The connections of a server: bounded in number, closed when no request comes or nobody reads.

A connection that has no whole request to answer costs its descriptor and nothing else. There is a
limit to those, too: at it, a new one takes the place of the one that has been silent for longest,
so that silence closes nobody out.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import OrderedDict
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from job_processor.web.throttle import WAITING

MOST = 1000
"""Connections at a time, where the process may have so many files open."""

REQUEST_TIME = 10.0
"""Seconds for the head of a request, from the connection or the last answer on."""

BACKLOG = 1024
"""Connections that the system accepts before we do."""

AT_ONE_GO = 16
"""Connections that are taken from it before those that came before are counted."""

_RESERVE = 256  # descriptors for databases, files, and what is not counted yet
_SWEEP = 1.0  # seconds


class Connections:
    """Those that are open."""

    def __init__(self) -> None:
        self.most = _room()
        self._open: set[Connection] = set()
        self._silent: OrderedDict[Connection, float] = OrderedDict()

    def admit(self, connection: Connection) -> None:
        """Take a new one in; where there is no room, another one or itself is closed."""
        if len(self._open) >= self.most:
            victim = next((each for each in self._silent if not each.unsent), self._held_back())
            if victim is None:
                connection.close()
                return
            self.forget(victim)
            victim.close()
        self._open.add(connection)
        self.silent(connection)

    def forget(self, connection: Connection) -> None:
        """One has ended."""
        self._open.discard(connection)
        self._silent.pop(connection, None)

    def silent(self, connection: Connection) -> None:
        """From now on one is to send the head of a request."""
        if connection in self._open:
            self._silent[connection] = asyncio.get_running_loop().time()
            self._silent.move_to_end(connection)

    def busy(self, connection: Connection) -> None:
        """One has sent a request that is being answered."""
        self._silent.pop(connection, None)

    async def sweep(self) -> None:
        """Close, for ever, those that are silent for too long."""
        while True:
            await asyncio.sleep(_SWEEP)
            late = asyncio.get_running_loop().time() - REQUEST_TIME
            for connection in [each for each, since in self._silent.items() if since <= late]:
                if connection.is_being_read():
                    self.silent(connection)
                else:
                    self.forget(connection)
                    connection.close()

    def _held_back(self) -> Connection | None:
        """Return one that waits for a refusal: it may as well have none."""
        return next((each for each in self._open if each.scope and each.scope.get(WAITING)), None)


class Connection(H11Protocol):
    """One connection, which tells when it is silent and when it is busy."""

    scope: Any

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._all = connections
        self._unsent_before = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        """Begin."""
        super().connection_made(transport)
        self._all.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._all.forget(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Look at what came: a part of a request, the end of its head, or more."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._all.busy(self)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._unsent_before = sys.maxsize
        self._all.silent(self)
        super().on_response_complete()

    @property
    def unsent(self) -> int:
        """Bytes of the last answer that are not fetched yet."""
        return int(self.transport.get_write_buffer_size())

    def is_being_read(self) -> bool:
        """Return whether some of an answer was fetched since this was asked last."""
        before, self._unsent_before = self._unsent_before, self.unsent
        return 0 < self._unsent_before < before

    def close(self) -> None:
        """Close it at once, whatever is not fetched."""
        self.transport.abort()


def _room() -> int:
    """Return for how many connections there are descriptors, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + _RESERVE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(min(MOST, soft - _RESERVE), soft // 2)
