"""`worker --metrics-port`: a real worker is scraped."""

from __future__ import annotations

import socket
import urllib.request

from tests.cli.conftest import Cli, Start


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_worker_is_scraped(start: Start, sqlite_db_url: str) -> None:
    """Its metrics are there while it runs."""
    port = free_port()
    process = start("worker", "tests.cli.apps:make", "--metrics-port", str(port), db=sqlite_db_url)
    process.until("worker started")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert "job_processor_slots 10.0" in text
    assert "python_info" in text


def test_a_port_that_is_taken(cli: Cli) -> None:
    """It is told in one line, and the worker does not start."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104  # as the server would
        other.listen()
        port = str(other.getsockname()[1])
        result = cli("worker", "tests.cli.apps:make", "--metrics-port", port)
    result.refused(f"--metrics-port: '{port}'", "in use")
