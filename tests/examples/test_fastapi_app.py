"""The FastAPI example, served by a real process on a loopback port."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from tests.examples.programs import EXAMPLES, TIMEOUT, environment

TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Server:
    """The application's process, and what it answers."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._port = port

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and the JSON of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def get(self, path: str, lines: int | None = None) -> tuple[Any, str]:
        """Return the headers of an answer and its text, or the first lines of one without end."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers={"Accept": "text/html", **BEARER})
            response = connection.getresponse()
            assert response.status == 200, path
            if lines is None:
                return response.headers, response.read().decode()
            return response.headers, "".join(response.readline().decode() for _ in range(lines))
        finally:
            connection.close()

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; return its exit code and the rest of what it logged."""
        self.process.send_signal(signal.SIGINT)
        _, log = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, log


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The example, up and listening."""
    pytest.importorskip("fastapi")
    command = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "fastapi_app:app"]
    command += ["--timeout-graceful-shutdown", "1", "--root-path", "/outside"]
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**environment(), "DASHBOARD_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Server(process, _port(process))
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    """Return the port once it listens; uvicorn says so."""
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        log += line
        if match := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            return int(match[1])
    raise AssertionError(f"it does not listen:\n{log}")


def test_a_report_is_ordered_and_read(server: Server) -> None:
    """An endpoint schedules a job, the worker inside runs it, another endpoint returns it.

    An unknown id is 404, one that is none is 400, an order without its fields is 422.
    """
    status, ordered = server.request("POST", "/reports", {"customer": "Ada", "orders": [12, 30]})
    assert status == 202
    status, report = server.request("GET", f"/reports/{ordered['id']}?wait=20")
    assert (status, report["status"]) == (200, "finished")
    assert report["report"] == {"customer": "Ada", "total": 42}
    assert report["error"] is None
    assert server.request("GET", f"/reports/{ObjectId()}")[0] == 404
    assert server.request("GET", "/reports/nonsense")[0] == 400
    assert server.request("POST", "/reports", {"customer": "Ada"})[0] == 422


def test_the_dashboard_is_mounted(server: Server) -> None:
    """Links, static files, the cookie and live updates work below its path, behind a proxy's.

    The worker is registered while the application runs, and stops with it.
    """
    _, health = server.request("GET", "/health")
    assert len(health["workers"]) == 1
    headers, page = server.get("/queue/")
    assert headers["set-cookie"].split("; ")[1] == "Path=/outside/queue"
    targets = re.findall(r'(?:href|src|action|data-live)="(/[^"]*)"', page)
    assert [target for target in targets if not target.startswith("/outside/queue/")] == []
    assert {"/outside/queue/static/app.js", "/outside/queue/live"} <= set(targets)
    for target in {target for target in targets if "/static/" in target}:
        server.get(target.removeprefix("/outside"))  # as the proxy hands it on
    told = server.get("/queue/live", lines=3)
    assert told[0]["content-type"].startswith("text/event-stream")
    assert told[1] == "retry: 1000\nevent: change\ndata: now\n"
    assert server.request("POST", "/queue/api/jobs", {"name": "report"})[0] == 401
    code, log = server.stop()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
    assert code in (0, -signal.SIGINT)
