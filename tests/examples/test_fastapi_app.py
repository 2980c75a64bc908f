"""The FastAPI example, served by a real process on a loopback port."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from bson import ObjectId

from tests.examples.programs import EXAMPLES
from tests.examples.server import Server, serving

TOKEN = "a-token-of-some-length"  # noqa: S105  # of these tests alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The example, up and listening."""
    pytest.importorskip("fastapi")
    options = ["--timeout-graceful-shutdown", "1", "--root-path", "/outside"]
    application = "fastapi_app:app"
    with serving(
        application, *options, code=EXAMPLES, folder=tmp_path, DASHBOARD_TOKEN=TOKEN
    ) as server:
        yield server


@pytest.mark.slow
def test_a_report_is_ordered_and_read(server: Server, tmp_path: Path) -> None:
    """An endpoint schedules a job, the worker inside runs it, another endpoint returns it.

    What the worker's process has opened has a line of it.

    An unknown id is 404, one that is none is 400, an order without its fields is 422.
    """
    status, ordered = server.request("POST", "/reports", {"customer": "Ada", "orders": [12, 30]})
    assert status == 202
    status, report = server.request("GET", f"/reports/{ordered['id']}?wait=20")
    assert (status, report["status"]) == (200, "finished")
    assert report["report"] == {"customer": "Ada", "total": 42}
    assert report["error"] is None
    assert json.loads((tmp_path / "reports.jsonl").read_text()) == report["report"]
    assert server.request("GET", f"/reports/{ObjectId()}")[0] == 404
    assert server.request("GET", "/reports/nonsense")[0] == 400
    assert server.request("POST", "/reports", {"customer": "Ada"})[0] == 422


@pytest.mark.slow
def test_the_dashboard_is_mounted(server: Server) -> None:
    """Links, static files, the cookie and live updates work below its path, behind a proxy's.

    The worker is registered while the application runs, and stops with it.
    """
    _, health = server.request("GET", "/health")
    assert len(health["workers"]) == 1
    headers, page = server.get("/queue/", headers=BEARER)
    assert headers["set-cookie"].split("; ")[1] == "Path=/outside/queue"
    targets = re.findall(r'(?:href|src|action|data-live)="(/[^"]*)"', page)
    assert [target for target in targets if not target.startswith("/outside/queue/")] == []
    assert {"/outside/queue/static/app.js", "/outside/queue/live"} <= set(targets)
    for target in {target for target in targets if "/static/" in target}:
        server.get(target.removeprefix("/outside"), headers=BEARER)  # as the proxy hands it on
    told = server.get("/queue/live", lines=3, headers=BEARER)
    assert told[0]["content-type"].startswith("text/event-stream")
    assert told[1] == "retry: 1000\nevent: change\ndata: now\n"
    assert server.request("POST", "/queue/api/jobs", {"name": "report"})[0] == 401
    code, log = server.stop()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
    assert code in (0, -signal.SIGINT)
