"""An application of `examples/`, served by a real process on a loopback port."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.examples.programs import TIMEOUT, environment


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

    def get(
        self, path: str, lines: int | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Any, str]:
        """Return the headers of an answer and its text, or the first lines of one without end."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers={"Accept": "text/html", **(headers or {})})
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


@contextmanager
def serving(
    application: str, *options: str, code: Path, folder: Path, **variables: str
) -> Iterator[Server]:
    """Serve `module:application`, whose code is in one folder, from another one."""
    command = ["-m", "uvicorn", "--app-dir", str(code), "--port", "0", application, *options]
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment(**variables),
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
