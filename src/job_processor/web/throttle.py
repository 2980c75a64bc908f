"""Slows down who tries secrets, and tells of it."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass

_logger = logging.getLogger("job_processor")

FREE = 2
"""Wrong secrets in a row from one address that are answered at once: somebody mistypes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds until a wrong secret is answered; each further one doubles them."""

MEMORY = 600.0
"""Seconds without a wrong secret after which an address begins anew."""

ADDRESSES = 10_000
"""Addresses that are remembered; the one that was quiet for longest is forgotten for another."""

_EACH = 10
"""Wrong secrets of an address that have a line in the log each; from then on every tenth has."""

WAITING = "job_processor.waiting"
"""Set in the scope of a request whose refusal is held back: its connection may be closed."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0


class Throttle:
    """Counts wrong secrets by address.

    It delays refusals only. Who gives the right secret is let in at once, whoever else tries from
    the same address, as behind a proxy.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    async def refuse(self, address: str) -> None:
        """Note a wrong secret and wait before it is answered."""
        count = self._count(_network(address))
        if count <= _EACH or count % _EACH == 0:
            _logger.warning(
                "dashboard: a wrong token or password from %s (%d in a row)", address, count
            )
        await asyncio.sleep(pause_after(count))

    def _count(self, address: str) -> int:
        now = time.monotonic()
        failures = self._failures.setdefault(address, _Failures())
        self._failures.move_to_end(address)
        if now - failures.last > MEMORY:
            failures.count = 0
        failures.count += 1
        failures.last = now
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        return failures.count


def pause_after(count: int) -> float:
    """Return for how many seconds the answer to so many wrong secrets in a row is held back."""
    if count <= FREE:
        return 0.0
    return min(FIRST_PAUSE * 2.0 ** min(count - FREE - 1, 30), LONGEST_PAUSE)


def _network(address: str) -> str:
    """Return what one attacker has: an address, of IPv6 a network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
