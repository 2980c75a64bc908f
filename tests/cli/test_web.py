"""`web`: serves the dashboard, and refuses to show it to everybody."""

from __future__ import annotations

import re
import signal
import sys

import httpx2 as httpx
import pytest

from tests.cli.conftest import Cli, Start

APP = "tests.cli.apps:make"


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: the port does not depend on it."""
    return sqlite_db_url


def answer(address: str, **headers: str) -> int:
    """Return the status of an answer."""
    return httpx.get(address, headers=headers).status_code


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_stopped(start: Start, db_url: str, stop: int) -> None:
    """At the address that it tells, on a free port if none is named; then it leaves with 0."""
    process = start("web", APP, "--port", "0", db=db_url)
    process.until("Ctrl-C ends it")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.output)
    assert found is not None
    assert int(found[1]) > 0
    assert answer(f"{found[0]}jobs") == 200
    assert answer(f"{found[0]}healthz") == 503  # nobody works
    process.send(stop)
    assert process.wait() == 0
    assert "Traceback" not in process.output


def test_a_login(start: Start, db_url: str) -> None:
    """By a token; read only where asked for."""
    process = start("web", APP, "--port", "0", "--token", "a-token", "--read-only", db=db_url)
    process.until("Ctrl-C ends it")
    found = re.search(r"http://\S+/", process.output)
    assert found is not None
    assert answer(f"{found[0]}jobs") == 401
    assert answer(f"{found[0]}jobs", Authorization="Bearer a-token") == 200
    assert "a-token" not in process.output
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_a_port_that_is_taken(start: Start, db_url: str) -> None:
    """Is told in a line."""
    first = start("web", APP, "--port", "0", db=db_url)
    first.until("Ctrl-C ends it")
    found = re.search(r":(\d+)/", first.output)
    assert found is not None
    second = start("web", APP, "--port", found[1], db=db_url)
    assert second.wait() == 1
    assert "already in use" in second.output
    assert "Traceback" not in second.output
    first.send(signal.SIGTERM)
    assert first.wait() == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "0.0.0.0"), "--host: '0.0.0.0'"),  # noqa: S104  # what is refused
        (("--host", "shop.example"), "--token"),
        (("--host", "::"), "--host"),
        (("--port", "x"), "--port: 'x'"),
        (("--port", "99999"), "--port"),
        (("--login", "ada"), "--login"),
        (("--login", ":secret-word"), "--login"),
    ],
)
def test_bad_input(cli: Cli, options: tuple[str, ...], told: str) -> None:
    """An address that others reach without a login; a port or login that is none."""
    result = cli("web", APP, *options)
    result.refused(told)
    assert "secret-word" not in result.err


def test_the_dashboard_is_an_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the extra."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = cli("web", APP)
    told = "Error: the dashboard needs more packages: pip install 'job-processor[web]'\n"
    assert (result.code, result.err) == (1, told)
