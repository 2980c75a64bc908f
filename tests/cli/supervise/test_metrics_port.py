"""`worker --metrics-port`: a real worker is scraped."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from job_processor.cli.supervise.options import read_place
from tests.cli.conftest import Cli, Start
from tests.mongo_server import free_port
from tests.processors import eventually


async def test_a_worker_is_scraped(start: Start, sqlite_db_url: str) -> None:
    """Its metrics are there while it runs."""
    port = free_port()
    process = start("worker", "tests.cli.apps:make", "--metrics-port", str(port), db=sqlite_db_url)
    process.until("worker started")

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text: str = answer.read().decode()
        return text

    async def tells_of_slots() -> bool:  # who logs the start, and who counts, hear of it in turn
        return "job_processor_slots 10.0" in await asyncio.to_thread(scraped)

    await eventually(tells_of_slots)
    assert "python_info" in scraped()


async def test_a_worker_says_how_many_are_wanted(start: Start, sqlite_db_url: str) -> None:
    """`/scaling` of its port answers for the whole database, and refuses what cannot be asked.

    Who logs the start, and who answers, hear of it in turn; a worker that has not begun says 503.
    """
    port = free_port()
    process = start("worker", "tests.cli.apps:make", "--metrics-port", str(port), db=sqlite_db_url)
    process.until("worker started")

    def ask(query: str) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{port}/scaling?{query}"
        try:
            with urllib.request.urlopen(address) as answer:  # our own server
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    async def asked() -> Any:
        status, found = await asyncio.to_thread(ask, "min=2")
        assert status in {200, 503}
        return found if status == 200 else None

    found = await eventually(asked)
    assert (found["waiting"], found["workers"], found["capacity"]) == (0, 1, 10)
    assert found["wanted"] == 2
    status, refused = await asyncio.to_thread(ask, "tags=x")
    assert status == 400
    assert "tags" in refused["detail"]


def test_where_it_listens(start: Start, sqlite_db_url: str) -> None:
    """At the address that is given, else on this machine alone; the log says where."""
    app = ("worker", "tests.cli.apps:make", "--metrics-port")
    process = start(*app, "0", db=sqlite_db_url)
    process.until("metrics are at http://127.0.0.1:")
    process = start(*app, "127.0.0.2:0", db=sqlite_db_url)
    process.until("metrics are at http://127.0.0.2:")
    process.until("worker started")
    found = re.search(r"http://127\.0\.0\.2:\d+/metrics", process.output)
    assert found is not None
    with urllib.request.urlopen(found[0]) as answer:  # noqa: S310  # our own server
        assert answer.status == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),  # noqa: S104  # what is read
        ("[::]:9100", ("::", 9100)),
        ("[127.0.0.1]:9100", ("127.0.0.1", 9100)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_what_is_typed(text: str, expected: tuple[str, int]) -> None:
    """A port, or an address with a port."""
    assert read_place(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", ":9100", "::1:9100", "a b:1", "1.2.3.4:", "-1", "9" * 5000]
)
def test_what_is_no_port(cli: Cli, text: str) -> None:
    """It is told with what is allowed."""
    cli("worker", "tests.cli.apps:make", f"--metrics-port={text}").refused("--metrics-port:")


def test_an_address_that_is_not_ours(cli: Cli) -> None:
    """It is told in one line."""
    result = cli("worker", "tests.cli.apps:make", "--metrics-port", "192.0.2.1:9100")
    result.refused("--metrics-port: '192.0.2.1:9100'", "it cannot be listened on")


def test_a_port_that_is_taken(cli: Cli) -> None:
    """It is told in one line, and the worker does not start."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104  # as the server would
        other.listen()
        port = str(other.getsockname()[1])
        result = cli("worker", "tests.cli.apps:make", "--metrics-port", port)
    result.refused(f"--metrics-port: '{port}'", "in use")
