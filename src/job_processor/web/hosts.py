"""Which names a dashboard answers to, so that no other name can be made to lead to it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request

from job_processor.errors import InvalidArgumentError

LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""How a browser on this machine names it."""

_ALLOWED = (
    "allowed are host names as in an address, without scheme and port, such as "
    "'dash.example.org', '.example.org' (it and all below) and '*' (any)"
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.\-\u0080-\U0010ffff]+)(:\d*)?")


class Hosts:
    """The names that are allowed.

    A page of another site can let its own name lead to an address of ours. The browser then takes
    both for one site, and only the `Host` header still tells them apart.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        if isinstance(allowed, str):
            raise InvalidArgumentError("allowed_hosts", allowed, f"a list; {_ALLOWED}")
        names = [_name(each) for each in allowed]
        if not names:
            raise InvalidArgumentError("allowed_hosts", [], f"at least one; {_ALLOWED}")
        self._any = "*" in names
        self._below = tuple(name for name in names if name.startswith("."))
        self._names = frozenset(names) | {name[1:] for name in self._below}

    def allow(self, request: Request) -> bool:
        """Return whether a request is for one of them."""
        if self._any:
            return True
        given = request.headers.getlist("host")
        if len(given) != 1:
            return False
        found = _HOST.fullmatch(given[0].lower())
        name = found[1].rstrip(".") if found else ""
        return name in self._names or name.endswith(self._below or ("\0",))


def _name(given: object) -> str:
    name = given.strip().lower().rstrip(".") if isinstance(given, str) else ""
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"  # an address of IPv6, as people write it
    found = _HOST.fullmatch(name.removeprefix("*").removeprefix("."))
    if name != "*" and (found is None or found[2] is not None):
        raise InvalidArgumentError("allowed_hosts", given, _ALLOWED)
    return name.removeprefix("*") or "*"
