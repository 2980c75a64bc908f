"""The tests' own reading of the address of a server, which may be any that MongoDB takes."""

from __future__ import annotations

import pytest
from pymongo.uri_parser import parse_uri

from tests.mongo_server import database_of, database_url, primary_of
from tests.proxy import Proxy

SEVERAL = "mongodb://a:1,b:2,c/?replicaSet=rs0"
WITH_USER = "mongodb://us%40er:p%2Fw@a:1,b:2"


@pytest.mark.parametrize(
    ("address", "hosts", "options"),
    [
        ("mongodb://a:1/", [("a", 1)], {}),
        ("mongodb://a:1", [("a", 1)], {}),
        (SEVERAL, [("a", 1), ("b", 2), ("c", 27017)], {"replicaSet": "rs0"}),
        (f"{WITH_USER}/?replicaSet=rs0", [("a", 1), ("b", 2)], {"authSource": "admin"}),
        (f"{WITH_USER}/own", [("a", 1), ("b", 2)], {"authSource": "own"}),
        ("mongodb://u:p@a:1/?authSource=users", [("a", 1)], {"authSource": "users"}),
    ],
)
def test_a_database_of_any_server(
    address: str, hosts: list[tuple[str, int]], options: dict[str, str]
) -> None:
    """Hosts and options stay, and whoever was known there still is."""
    url = database_url(address, "test_1")
    named = parse_uri(url)
    assert (named["nodelist"], named["database"]) == (hosts, "test_1")
    assert named["username"] == parse_uri(address)["username"]
    assert {name: named["options"][name] for name in options} == options
    assert database_of(url) == "test_1"


def test_a_path_among_the_options_is_no_database() -> None:
    """A certificate is named by a path."""
    assert database_of(f"{WITH_USER}/name?tlsCAFile=/etc/a.pem") == "name"


async def test_a_proxy_keeps_credentials_and_options() -> None:
    """All but those that say which of several servers is meant."""
    server = "mongodb://us%40er:p%2Fw@127.0.0.1:1/?retryReads=false&readPreference=secondary"
    async with Proxy(server) as proxy:
        named = parse_uri(proxy.url("name", retryWrites="false"))
    assert (named["username"], named["password"]) == ("us@er", "p/w")
    options = named["options"]
    assert (options["authSource"], options["directConnection"]) == ("admin", True)
    assert (options["retryReads"], options["retryWrites"]) == (False, False)
    assert "readPreference" not in options


@pytest.mark.parametrize("option", ["tls=true", "loadBalanced=true"])
def test_what_cannot_be_proxied_is_skipped_with_a_reason(option: str) -> None:
    """A server that is spoken to under its own name only."""
    with pytest.raises(pytest.skip.Exception, match=option.partition("=")[0]):
        Proxy(f"mongodb://127.0.0.1:1/?{option}")


@pytest.mark.mongo
async def test_a_proxy_stands_before_the_primary(mongo_server_url: str) -> None:
    """Of all that an address names, it is the one that takes the writes."""
    host, port = primary_of(mongo_server_url)
    async with Proxy(mongo_server_url) as proxy:
        assert proxy._target == (host, port)
        more = "&" if "?" in mongo_server_url else "?"
        assert primary_of(f"{mongo_server_url}{more}heartbeatFrequencyMS=5000") == (host, port)
