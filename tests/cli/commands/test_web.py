"""`web`: serves the dashboard, and refuses to show it to everybody."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from job_processor.errors import how_to_install
from tests.cli import apps
from tests.cli.conftest import Cli, Start

APP = "tests.cli.apps:make"
TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone


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
    process = start("web", APP, "--port", "0", "--no-login", db=db_url)
    process.until("Ctrl-C stops it")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.output)
    assert found is not None
    assert int(found[1]) > 0
    assert answer(f"{found[0]}jobs") == 200
    assert answer(f"{found[0]}healthz") == 503  # nobody works
    process.send(stop)
    assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.slow
def test_a_database_without_an_application(start: Start, db_url: str, tmp_path: Path) -> None:
    """Is shown and acted on; nothing can be scheduled there, and no application is imported."""

    async def fill() -> str:
        async with apps.make(db=db_url, collection_prefix="mine") as processor:
            return str((await processor.schedule_job("greet", {"name": "Ada"})).id)

    id = asyncio.run(fill())
    (tmp_path / "pyproject.toml").write_text("[tool.job-processor]\napp = 'nothing_like_it:x'\n")
    options = ("--port", "0", "--no-login", "--prefix", "mine")
    process = start("web", "--db", db_url, *options)
    process.until("Ctrl-C stops it")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.output)
    assert found is not None
    assert id in httpx.get(f"{found[0]}api/jobs").text
    for page in ("", "jobs", f"jobs/{id}", "crons", "workers", "audit"):
        assert answer(f"{found[0]}{page}") == 200
    same = {"Origin": found[0].rstrip("/")}
    killed = httpx.post(f"{found[0]}api/jobs/{id}/kill", json={}, headers=same)
    assert (killed.status_code, killed.json()["status"]) == (200, "killed")
    made = httpx.post(f"{found[0]}api/jobs", json={"name": "greet"}, headers=same)
    assert made.status_code == 422
    process.send(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.slow
def test_an_application_on_another_database(
    cli: Cli, start: Start, db_url: str, tmp_path: Path
) -> None:
    """APP and `--db` together: its definitions, that database; its prefix is its own."""
    process = start("web", APP, "--db", f"sqlite:///{tmp_path}/b.db", "--port", "0", "--no-login")
    process.until(f"{tmp_path}/b.db")
    cli("web", APP, "--prefix", "x", "--no-login").refused("--prefix: ", "of the application")


def test_a_login(start: Start, db_url: str) -> None:
    """By a token; read only where asked for."""
    process = start("web", APP, "--port", "0", "--token", TOKEN, "--read-only", db=db_url)
    process.until("Ctrl-C stops it")
    found = re.search(r"http://\S+/", process.output)
    assert found is not None
    assert answer(f"{found[0]}jobs") == 401
    assert answer(f"{found[0]}jobs", Authorization=f"Bearer {TOKEN}") == 200
    assert TOKEN not in process.output
    process.send(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.slow
def test_a_port_that_is_taken(start: Start, db_url: str) -> None:
    """Is told in a line."""
    first = start("web", APP, "--port", "0", "--no-login", db=db_url)
    first.until("Ctrl-C stops it")
    found = re.search(r":(\d+)/", first.output)
    assert found is not None
    second = start("web", APP, "--port", found[1], "--no-login", db=db_url)
    assert second.wait() == 1
    assert "already in use" in second.output
    assert "Traceback" not in second.output
    first.send(signal.SIGTERM)
    assert first.wait() == 0


@pytest.mark.slow
def test_without_a_login_on_a_terminal(start: Start, db_url: str) -> None:
    """It prints an address with a token, which becomes a cookie; nobody comes in without it."""
    process = start("web", APP, "--port", "0", db=db_url, terminal=True)
    process.until("is let in")
    found = re.search(r"(http://127\.0\.0\.1:\d+/)\?token=([\w-]{20,})", process.output)
    assert found is not None
    assert answer(f"{found[1]}jobs") == 401
    assert answer(f"{found[1]}jobs", Authorization=f"Bearer {found[2]}") == 200
    assert answer(f"{found[1]}jobs", Authorization=f"Bearer {found[2]}", Host="evil.test") == 400
    with httpx.Client(follow_redirects=True) as client:
        page = client.get(found[0])
        assert (page.status_code, str(page.url)) == (200, found[1])
        assert client.get(f"{found[1]}jobs").status_code == 200
    shown = process.output.count(found[2])
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert process.output.count(found[2]) == shown == 1


@pytest.mark.parametrize("variable", ["JOB_PROCESSOR_WEB_TOKEN", "JOB_PROCESSOR_WEB_LOGIN"])
@pytest.mark.parametrize("value", ["", " ", "short", "\t\n", "ada:", ":x", "ada:short"])
@pytest.mark.parametrize("options", [(), ("--host", "0.0.0.0"), ("--no-login",)])  # noqa: S104
def test_a_variable_that_holds_no_secret(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, options: tuple[str, ...]
) -> None:
    """Is an error that names it, whatever else is given, and never an open dashboard."""
    monkeypatch.setenv(variable, value)
    cli("web", APP, *options).refused(f"${variable}")
    other = "--login" if variable.endswith("TOKEN") else "--token"
    given = "ada:correct horse" if variable.endswith("TOKEN") else TOKEN
    cli("web", APP, other, given).refused(f"${variable}")


@pytest.mark.slow
def test_the_variables(start: Start, db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token and a login may be given where other users of the machine do not see them."""
    monkeypatch.setenv("JOB_PROCESSOR_WEB_TOKEN", TOKEN)
    monkeypatch.setenv("JOB_PROCESSOR_WEB_LOGIN", "ada:correct horse")
    process = start("web", APP, "--port", "0", "--allowed-host", "dash.example.org", db=db_url)
    process.until("Ctrl-C stops it")
    found = re.search(r"http://\S+/", process.output)
    assert found is not None
    basic = f"Basic {base64.b64encode(b'ada:correct horse').decode()}"
    for secret in (basic, f"Bearer {TOKEN}"):
        assert answer(f"{found[0]}jobs", Authorization=secret) == 200
        assert answer(f"{found[0]}jobs", Authorization=secret, Host="dash.example.org") == 200
        assert answer(f"{found[0]}jobs", Authorization=secret, Host="evil.test") == 400
    assert answer(f"{found[0]}jobs") == 401
    assert answer(f"{found[0]}healthz", Host="10.1.2.3") == 503


def test_under_a_path_of_a_proxy(
    start: Start, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links lead below the path that the proxy takes away, and so does the address it tells.

    A variable names the environment.
    """
    monkeypatch.setenv("JOB_PROCESSOR_WEB_NAME", "staging")
    process = start(*("web", APP, "--port", "0", "--no-login", "--root-path", "/queue/"), db=db_url)
    process.until("Ctrl-C stops it")
    found = re.search(r"(http://127\.0\.0\.1:\d+)/queue/ ", process.output)
    assert found is not None
    page = httpx.get(f"{found[1]}/jobs")
    assert page.status_code == 200
    assert 'href="/queue/static/app.css"' in page.text
    assert "<title>Jobs · staging · job-processor</title>" in page.text


@pytest.mark.slow
def test_a_login_that_travels_readably(start: Start, db_url: str) -> None:
    """Is warned of at the start, where others can listen and no proxy is named."""
    options = ("web", APP, "--port", "0", "--host", "0.0.0.0", "--token", TOKEN)  # noqa: S104
    process = start(*options, db=db_url)
    process.until("are sent unencrypted")
    process = start(*options, "--forwarded-allow-ips", "10.0.0.0/8", db=db_url)
    process.until("Ctrl-C stops it")
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert "readably" not in process.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "$JOB_PROCESSOR_WEB_TOKEN"),
        (("--read-only",), "--no-login"),
        (("--no-login", "--host", "0.0.0.0"), "--host: '0.0.0.0'"),  # noqa: S104  # what is refused
        (("--no-login", "--host", "10.0.0.1"), "--host"),
        (("--no-login", "--token", TOKEN), "--no-login"),
        (("--no-login", "--login", "ada:correct horse"), "--no-login"),
        (("--token", ""), "--token"),
        (("--token", "   "), "--token"),
        (("--token", "secret-word"), "--token"),
        (("--login", ""), "--login"),
        (("--login", "ada:"), "--login"),
        (("--login", "ada:        "), "--login"),
        (("--no-login", "--root-path", "queue"), "--root-path"),
        (("--no-login", "--root-path", "//evil.test"), "--root-path"),
        (("--no-login", "--allowed-host", "http://x"), "--allowed-host"),
        (("--no-login", "--allowed-host", ""), "--allowed-host"),
        (("--no-login", "--forwarded-allow-ips", "proxy.local"), "--forwarded-allow-ips"),
        (("--host", "0.0.0.0"), "--host: '0.0.0.0'"),  # noqa: S104  # what is refused
        (("--host", "shop.example"), "--token"),
        (("--host", "::"), "--host"),
        (("--port", "x"), "--port: 'x'"),
        (("--no-login", "--name", ""), "--name: ''"),
        (("--no-login", "--name", "qa", "--color", "pink"), "--color: 'pink'"),
        (("--no-login", "--color", "red"), "--color"),
        (("--port", "99999"), "--port"),
        (("--login", "ada"), "--login"),
        (("--login", ":secret-word"), "--login"),
    ],
)
def test_bad_input(cli: Cli, options: tuple[str, ...], told: str) -> None:
    """An address that others reach without a login; a port or login that is none."""
    result = cli("web", APP, *options)
    result.refused(told)
    assert "Traceback" not in result.err
    assert "secret-word" not in result.err


def test_the_dashboard_is_an_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the extra."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = cli("web", APP)
    told = f"Error: the dashboard needs more packages: {how_to_install('web')}"
    assert (result.code, " ".join(result.err.split())) == (1, told)
