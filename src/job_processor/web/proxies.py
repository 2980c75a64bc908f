"""What a proxy in front says of a request, where its address is trusted, and nowhere else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from job_processor.errors import InvalidArgumentError

_HEADERS = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})


class Proxies:
    """An ASGI middleware: who asks, by which scheme and for which host, is as a proxy says.

    trusted: addresses and networks of proxies. What others say of it is dropped: anybody can send
        these headers.
    root_path: the path under which a proxy shows the application, and which it takes away.

    Raises InvalidArgumentError.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str] = (), root_path: str = "") -> None:
        addresses = list(trusted)
        self._networks = [_network(each) for each in addresses]
        self._app = app
        self._root_path = root_path
        # Its types are those of another library of the same protocol.
        self._told: ASGIApp = ProxyHeadersMiddleware(app, addresses)  # type: ignore[assignment, arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._root_path:
            scope = {**scope, "root_path": self._root_path, "path": self._root_path + scope["path"]}
        if self._is_trusted(scope):
            await self._told(_for_host(scope), receive, send)
        else:
            kept = [pair for pair in scope["headers"] if pair[0] not in _HEADERS]
            await self._app({**scope, "headers": kept}, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(client[0]) if client else None
        except ValueError:
            address = None
        return address is not None and any(address in network for network in self._networks)


def _for_host(scope: Scope) -> Scope:
    """Return a scope whose `Host` is the one that the browser named to the proxy."""
    told = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
    if not told:
        return scope
    host = told[-1].split(b",")[-1].strip()  # that of the nearest proxy, which is the trusted one
    kept = [pair for pair in scope["headers"] if pair[0] != b"host"]
    return {**scope, "headers": [*kept, (b"host", host)]}


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        allowed = "allowed are addresses and networks, such as 127.0.0.1 and 10.0.0.0/8"
        raise InvalidArgumentError("--forwarded-allow-ips", text, allowed) from error
