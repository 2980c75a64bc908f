"""Where webhooks may go: by the name of the host, and by the address behind it."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import InvalidArgumentError
from job_processor.integrations.webhooks import WebhookRefusedError
from job_processor.integrations.webhooks.allowed import Allowed, target_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("hooks.example.com", "https://hooks.example.com/jobs"),
        ("Hooks.Example.com", "https://HOOKS.example.com./jobs"),
        ("*.example.com", "https://a.b.example.com"),
        ("example.com:8443", "https://example.com:8443/"),
        ("*", "https://anything.example"),
        ("*:8443", "https://anything.example:8443"),
        ("2001:db8::1", "https://[2001:db8::1]/"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/"),
        ("192.0.2.1", "https://192.0.2.1/"),
    ],
)
def test_hosts_that_are_allowed(host: str, url: str) -> None:
    """A name allows itself, a star all below it, each at the usual port or the one given."""
    Allowed([host], [], False).check(target_of(url))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("hooks.example.com", "https://example.com/"),
        ("example.com", "https://hooks.example.com/"),
        ("example.com", "https://example.com.evil.test/"),
        ("*.example.com", "https://example.com/"),
        ("*.example.com", "https://evilexample.com/"),
        ("example.com", "https://example.com:22/"),
        ("*", "https://example.com:6379/"),
        ("example.com:8443", "https://example.com/"),
    ],
)
def test_hosts_that_are_not(host: str, url: str) -> None:
    """Nothing else: no parent, no other port, no name that merely ends so."""
    with pytest.raises(WebhookRefusedError, match="not among the hosts"):
        Allowed([host], [], False).check(target_of(url))


def test_what_is_not_encrypted() -> None:
    """It goes over https:// unless the application says otherwise."""
    target = target_of("http://example.com/")
    with pytest.raises(WebhookRefusedError, match="allow_http=True"):
        Allowed(["*"], [], False).check(target)
    Allowed(["*"], [], True).check(target)


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2@example.com/",
        "https://hunter2@example.com/",
        "https://example.com\\@hunter2/",
        "https://example.com/hunter2 x",
        "https://example.com/hunter2\n",
        "https://examplé.com/hunter2",
        "ftp://example.com/hunter2",
        "file:///hunter2",
        "//example.com/hunter2",
        "hunter2",
        "https:///hunter2",
        "https://example.com:0/hunter2",
        "https://example.com:99999/hunter2",
        "https://[::1/hunter2",
        "https://-x.example.com/hunter2",
        "https://exa%6dple.com/hunter2",
        "https://example.com/" + "hunter2" * 500,
        None,
    ],
)
def test_what_is_no_address(url: Any) -> None:
    """What is no address is refused before it is stored, and not told: it may have a secret."""
    with pytest.raises(InvalidArgumentError, match=r"https://hooks\.example\.com") as raised:
        target_of(url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),  # noqa: S104
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1"),
        *("ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1"),
    ],
)
def test_private_addresses(address: str) -> None:
    """No address that is not of the open internet, in whatever form it is written."""
    with pytest.raises(WebhookRefusedError, match="private address"):
        Allowed(["*"], [], False).check_address("https://example.com", address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses(address: str) -> None:
    """All others may be reached."""
    Allowed(["*"], [], False).check_address("https://example.com", address)


def test_a_private_network_that_is_wanted() -> None:
    """A network that the application names may be reached, and no other."""
    allowed = Allowed(["*"], ["10.2.0.0/16", "fd00::/8"], False)
    for address in ("10.2.3.4", "fd12::1"):
        allowed.check_address("https://example.com", address)
    for address in ("10.3.3.4", "fe80::1"):
        with pytest.raises(WebhookRefusedError, match="private address"):
            allowed.check_address("https://example.com", address)


@pytest.mark.parametrize(
    ("hosts", "networks", "told"),
    [
        ("example.com", [], "allowed is a list, such as"),
        ([], [], "hosts: "),
        (["https://example.com"], [], "hosts: 'https://example.com' is not allowed"),
        (["example.com:0"], [], "hosts: 'example.com:0' is not allowed"),
        (["example.com:x"], [], "hosts: 'example.com:x' is not allowed"),
        (["ex*mple.com"], [], "is not allowed"),
        ([None], [], "hosts: None is not allowed"),
        (["*"], "10.0.0.0/8", "networks: '10.0.0.0/8' is not allowed; allowed is a list"),
        (["*"], ["10.0.0.1/8"], "networks: '10.0.0.1/8' is not allowed"),
    ],
)
def test_lists_that_cannot_be_meant(hosts: Any, networks: Any, told: str) -> None:
    """What is no host, or no network, is refused with what one looks like."""
    with pytest.raises(InvalidArgumentError, match="allowed") as raised:
        Allowed(hosts, networks, False)
    assert told in str(raised.value)
