"""The way of one webhook over the net: to an address that was checked, and no step further."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from job_processor.errors import MissingExtraError
from job_processor.handlers.retries import RetryLater
from job_processor.integrations.webhooks.allowed import Allowed, Target
from job_processor.integrations.webhooks.failures import WebhookFailedError, WebhookRefusedError

try:
    import httpcore2
except ModuleNotFoundError as error:
    raise MissingExtraError("a worker that sends webhooks", "webhooks") from error

_GONE = 410
_LONGEST_WAIT = 24 * 3600.0  # seconds that an answer can ask us to wait


class Delivery:
    """Sends webhooks, each over a connection of its own: no cookies, proxies or redirects."""

    def __init__(self, allowed: Allowed, timeout: float, context: ssl.SSLContext | None) -> None:
        self._allowed = allowed
        self._timeout = timeout
        self._context = context or httpcore2.default_ssl_context()

    async def post(self, target: Target, body: bytes, headers: dict[str, str]) -> int:
        """Send a body; return the status of an answer that says it was taken.

        Raises WebhookRefusedError where it may not go or is not wanted any more, WebhookFailedError
        for any other end, and RetryLater where the answer says when to come again.
        """
        self._allowed.check(target)
        try:
            async with asyncio.timeout(self._timeout):
                status, again = await self._exchange(target, body, headers)
        except TimeoutError:
            told = f"{target.origin} did not answer within {self._timeout:g} s"
            raise WebhookFailedError(told) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            told = f"{target.origin} cannot be reached: {type(error).__name__}: {error}"
            raise WebhookFailedError(told) from None
        return _taken(target, status, again)

    async def _exchange(
        self, target: Target, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str | None]:
        """Return the status of the answer and its `Retry-After`; its body is not read."""
        backend = _Checked(self._allowed, target)
        async with httpcore2.AsyncConnectionPool(
            ssl_context=self._context, network_backend=backend
        ) as pool:
            url = httpcore2.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path
            )
            lines = [("host", target.origin.partition("://")[2]), *headers.items()]
            async with pool.stream("POST", url, headers=lines, content=body) as answer:
                lower = {name.lower(): value for name, value in answer.headers}
                found = lower.get(b"retry-after")
                return answer.status, None if found is None else found.decode("latin-1")


class _Checked(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked, so that no second look-up leads elsewhere."""

    def __init__(self, allowed: Allowed, target: Target) -> None:
        self._allowed = allowed
        self._origin = target.origin
        self._net = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002  # of the base class
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  # the same
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of a host that takes it; all of them must be allowed."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            self._allowed.check_address(self._origin, address)
        for address in addresses[:-1]:
            try:
                return await self._net.connect_tcp(address, port, timeout=timeout)
            except httpcore2.NetworkError:
                continue
        return await self._net.connect_tcp(addresses[-1], port, timeout=timeout)


def _taken(target: Target, status: int, again: str | None) -> int:
    """Return a status of success; raise for all others what is to follow."""
    if 200 <= status < 300:
        return status
    told = f"{target.origin} answered {status}"
    if status == _GONE:
        raise WebhookRefusedError(f"{told}: nobody there wants webhooks any more")
    if 300 <= status < 400:
        told += ", a redirect, which is not followed; send to its new address"
    seconds = None if again is None else _seconds(again)
    if seconds is not None:
        raise RetryLater(told, delay=seconds)
    raise WebhookFailedError(told)


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that a `Retry-After` asks for; None where it says nothing."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
