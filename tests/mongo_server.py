"""The MongoDB server of the tests: one of our own, or a real one that the environment names.

`mongo_url()` serves a whole test session. A test of faults makes a `MongoServer` of its own, and
may kill, freeze and restart it without harm to the other tests.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

EXTERNAL_URL_VARIABLE: Final = "JOB_PROCESSOR_TEST_MONGODB"
"""Names a running replica set, as in `mongodb://localhost:27017/?replicaSet=rs0`.

Any address will do: of several hosts, with credentials and options.
"""

START_TIMEOUT: Final = 60.0
"""Seconds that a server gets to answer its first ping, recovery after a crash included."""

STOP_TIMEOUT: Final = 30.0
"""Seconds that a server gets to stop before it is killed."""

START_ATTEMPTS: Final = 3
"""Ports that are tried before we give up."""

PORTS: Final = range(20000, 32000)
"""Below the ports that Linux and macOS give to outgoing connections: none of those can take the
port of a server that is down for a moment, and no client can connect to itself meanwhile."""

# Runs `secantusd-py`, and leaves with the process that started it, even when that one is killed:
# its standard input then ends. A test run that dies so leaves no server behind.
_LAUNCHER: Final = """
import os, sys, threading

def leave_with_parent():
    sys.stdin.buffer.read()
    os._exit(1)

threading.Thread(target=leave_with_parent, daemon=True).start()
sys.argv[0] = "secantusd-py"
from secantus.cli import main
sys.exit(main())
"""


class MongoServerError(Exception):
    """The server of the tests cannot be started, or is not in the state that a call needs."""


class MongoServer:
    """A MongoDB-compatible server process on a free loopback port, with a folder of its own.

    The port and the data stay the same from one start to the next, so that `kill()` and `start()`
    are a crash and a recovery, as its clients see it. Use it as a context manager, or call
    `start()` and `close()`.

    Args:
        sync_on_commit: flush each commit to the disk before it is acknowledged, as `j: true` asks
            for. Without it, what was acknowledged survives the death of the server all the same,
            but not that of the machine.
        standalone: look like a single server that is in no replica set: no change streams, no
            transactions.
        test_commands: take `configureFailPoint`, which makes chosen commands fail.
    """

    def __init__(
        self,
        *,
        sync_on_commit: bool = False,
        standalone: bool = False,
        test_commands: bool = False,
    ) -> None:
        self._options = [
            *(["--sync-on-commit"] if sync_on_commit else []),
            *(["--standalone"] if standalone else []),
            *(["--enable-test-commands"] if test_commands else []),
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="job-processor-mongo-"))
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server and remove its data."""
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, without the name of a database: see `database_url`."""
        if self._port is None:
            raise MongoServerError("The server has no port before its first start().")
        return f"mongodb://127.0.0.1:{self._port}/"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives (frozen counts)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the server printed so far: warnings and errors."""
        path = self._folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server, on its old port and data if any, and return once it answers a ping."""
        if self.is_running:
            raise MongoServerError(f"The server already runs, as process {self.pid}.")
        if self._port is not None:
            self._launch(self._port)
            return
        for attempt in range(1, START_ATTEMPTS + 1):
            port = free_port()
            try:
                self._launch(port)
            except MongoServerError:
                # Another program may have taken the port since we looked.
                if attempt == START_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    def stop(self) -> None:
        """Ask the server to stop (SIGTERM), and return once it has; its data stays."""
        self._end_with(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server at once (SIGKILL), as a crash would; its data stays."""
        self._end_with(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server and start it again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let the server hang (SIGSTOP): connections stay open, nothing answers, until `thaw()`."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the server if it runs, and remove its data. May be called twice."""
        if self.is_running:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise MongoServerError("The server does not run: call start() first.")
        return self._process

    def _launch(self, port: int) -> None:
        reason = missing_server()
        if reason is not None:
            raise MongoServerError(reason)
        # An empty configuration of its own keeps it from reading one of the user's.
        config = self._folder / "secantusd.toml"
        config.touch()
        command = [sys.executable, "-c", _LAUNCHER]
        command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--storage-path", str(self._folder / "data"), "--log-level", "WARNING"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._options],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the test run, which then stops the server.
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(port)
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_answers(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(port):
            if not self.is_running:
                raise MongoServerError(f"The server on port {port} ended at once:\n{self.log}")
            if time.monotonic() > deadline:
                raise MongoServerError(
                    f"No server answered on port {port} in {START_TIMEOUT:.0f} s:\n{self.log}"
                )
            time.sleep(0.02)

    def _end_with(self, signal_number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None


def external_url() -> str | None:
    """Return the address of the real server that the environment names, if it names one."""
    return os.environ.get(EXTERNAL_URL_VARIABLE) or None


def missing_server() -> str | None:
    """Return why no server of our own can be started on this Python, or None when it can."""
    if importlib.util.find_spec("secantus") is not None:
        return None
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"SecantusDB, the MongoDB server of the tests, is not installed (Python {python}; it has "
        f"wheels for 3.11 to 3.13). Run `make setup`, or name a real server in "
        f"{EXTERNAL_URL_VARIABLE}, as in mongodb://localhost:27017/?replicaSet=rs0."
    )


@contextlib.contextmanager
def mongo_url() -> Iterator[str]:
    """Give the address of the server for a test session: the environment's, else one of our own.

    Each process of a parallel run that calls this starts a server of its own.
    """
    external = external_url()
    if external is not None:
        yield external
        return
    with MongoServer() as server:
        yield server.url


def database_url(server_url: str, database: str) -> str:
    """Return the address of a database on a server, with the options of the server's address.

    The hosts may be several. Whoever is to be known there still is: by default that depends on the
    database which the address names.
    """
    parts = urlsplit(server_url)
    query = parts.query
    if "@" in parts.netloc and "authsource=" not in query.lower():
        source = parts.path.strip("/") or "admin"
        query = "&".join(filter(None, [query, f"authSource={source}"]))
    return urlunsplit(parts._replace(path=f"/{database}", query=query))


def database_of(url: str) -> str:
    """Return the name of the database that an address names."""
    return unquote(urlsplit(url).path.strip("/"))


def primary_of(server_url: str) -> tuple[str, int]:
    """Return host and port of the server that takes the writes, of all that an address names."""
    named = parse_uri(server_url)
    (host, port), *others = named["nodelist"]
    if not others and "replicaset" not in named["options"]:
        return host, port or 27017
    client: MongoClient[dict[str, object]] = MongoClient(server_url)
    try:
        client.admin.command("ping")
        host, port = client.primary or min(client.nodes)  # of a cluster, any router
    finally:
        client.close()
    return host, port or 27017


def free_port(count: int = 1) -> int:
    """Return a loopback port that nobody listens on right now, the first of so many in a row."""
    for _ in range(100):
        # Not random.choice(): two processes that were given one seed would choose the same ports.
        port = secrets.choice(PORTS)
        if all(map(_is_free, range(port, port + count))):
            return port
    raise MongoServerError(f"Found no free port from {PORTS.start} to {PORTS.stop - 1}.")


def _is_free(port: int) -> bool:
    """Whether nobody listens on that port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _answers(port: int) -> bool:
    """Whether a server on that port answers a ping."""
    # A plain connection tells at once that nobody listens yet; a client looks only every 500 ms.
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    client: MongoClient[dict[str, object]] = MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000
    )
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    else:
        return True
    finally:
        client.close()
