"""Where webhooks may go: hosts by name, and addresses that no name may lead into a private net."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.integrations.webhooks.failures import WebhookRefusedError

Address: TypeAlias = IPv4Address | IPv6Address

_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME = 253  # characters
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without blanks and the backslash
_LONGEST = 2048  # characters of an address
_NAT64 = IPv6Network("64:ff9b::/96")
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes, in parts: what is checked is what is connected to."""

    scheme: str
    host: str
    """In lower case; an address of IPv6 without its brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def origin(self) -> str:
        """The address without its path, in which there may be a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _PORTS[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


def target_of(url: object) -> Target:
    """Return the parts of an address.

    Raises InvalidArgumentError, without the address, for what is none, or has credentials in it.
    """
    if not isinstance(url, str) or len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
        raise _no_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_url(url) from None
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _PORTS or "@" in parts.netloc or port == 0 or not _is_host(host):
        raise _no_url(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _no_url(url: object) -> InvalidArgumentError:
    allowed = (
        "allowed is an address such as https://hooks.example.com/jobs, in ASCII and without a "
        "user and a password"
    )
    return InvalidArgumentError("url", Unshown(url), allowed)


def _is_host(host: str) -> bool:
    is_name = len(host) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, host.split(".")))
    return is_name or _literal(host) is not None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class Allowed:
    """The hosts, and the networks, that webhooks may go to.

    hosts: names, `*.example.com` for all below one, `*` for any; each with `:port` where that is
        not the usual one.
    networks: private ones that are allowed all the same, such as `10.2.0.0/16`.
    http: without encryption, too.

    Raises InvalidArgumentError.
    """

    def __init__(self, hosts: Iterable[str], networks: Iterable[str], http: bool) -> None:
        self._hosts = [_entry(each) for each in _several("hosts", hosts)]
        if not self._hosts:
            raise InvalidArgumentError("hosts", hosts, _HOSTS)
        self._networks = [_network(each) for each in _several("networks", networks)]
        if not isinstance(http, bool):
            raise InvalidArgumentError("allow_http", http, "allowed are True and False")
        self._http = http

    def check(self, target: Target) -> None:
        """Raise WebhookRefusedError for a target that is not allowed by its name."""
        if target.scheme == "http" and not self._http:
            raise WebhookRefusedError(
                f"{target.origin} is not encrypted; write https://, or allow it with "
                "Webhooks(…, allow_http=True)"
            )
        if not any(_fits(host, port, target) for host, port in self._hosts):
            raise WebhookRefusedError(
                f"{target.origin} is not among the hosts that webhooks may go to: "
                "Webhooks(hosts=[…])"
            )

    def check_address(self, origin: str, address: str) -> None:
        """Raise WebhookRefusedError for an address of a target that is not allowed."""
        found = ip_address(address.partition("%")[0])
        if not _is_public(found) and not any(found in network for network in self._networks):
            raise WebhookRefusedError(
                f"{origin} leads to the private address {found}; where that is wanted, allow its "
                'network: Webhooks(…, networks=["10.2.0.0/16"])'
            )


_HOSTS = "allowed is a list of hosts: 'hooks.example.com', '*.example.com', 'example.com:8443', '*'"


def _several(argument: str, given: Any) -> list[Any]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidArgumentError(argument, given, f"allowed is a list, such as [{given!r}]")
    return list(given)


def _entry(host: object) -> tuple[str, int | None]:
    """Return the host and the port of an entry of the list; None: the usual one."""
    text = host.lower() if isinstance(host, str) else ""
    if text.strip("[]") == text and _literal(text) is not None:  # of IPv6, its colons no port
        return text, None
    name, colon, port = text.rpartition(":")
    if not colon or name.endswith(":"):
        name, port = text, ""
    name = name.removeprefix("[").removesuffix("]").removesuffix(".")
    known = name == _ANY or _is_host(name.removeprefix("*."))
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not known or (colon and not 0 < number < 65536):
        raise InvalidArgumentError("hosts", host, _HOSTS)
    return name, number or None


def _network(given: object) -> Any:
    try:
        return ip_network(given)  # type: ignore[arg-type]  # it says what it takes
    except ValueError:
        allowed = "allowed are networks, such as '10.2.0.0/16' or 'fd00::/8'"
        raise InvalidArgumentError("networks", given, allowed) from None


def _fits(host: str, port: int | None, target: Target) -> bool:
    if target.port != (_PORTS[target.scheme] if port is None else port):
        return False
    if host.startswith("*."):
        return target.host.endswith(host[1:])
    return host in (_ANY, target.host)


def _is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet, and no way around into another net."""
    inner = _inside(address)
    if inner is not None:
        return _is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inside(address: Address) -> IPv4Address | None:
    """Return the address of IPv4 that one of IPv6 stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    tunnel = address.teredo
    return address.ipv4_mapped or address.sixtofour or (tunnel[1] if tunnel else None)
