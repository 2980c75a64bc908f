"""The servers that peers need: started on free loopback ports in temporary folders, and ended.

A server that is not installed makes its systems "not measured", with the reason.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.programs import PYTHON, Program

START_SECONDS = 30.0
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian's package keeps the programs of the server, which are not on the PATH."""


class MissingServer(Exception):  # noqa: N818  # it is a fact to report, not a fault
    """Why a server cannot be had."""


class Server(ABC):
    """A server of ours, or one that the environment names."""

    name: str
    version: str = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program: Program | None = None
        self.port = 0

    @abstractmethod
    def start(self) -> None:
        """Start it and return once it answers. Raises MissingServer."""

    @abstractmethod
    def fresh(self) -> dict[str, str]:
        """Make room for a session; return what the environment of its children needs."""

    def discard(self, environment: Mapping[str, str]) -> None:
        """Throw away what a session left."""

    @abstractmethod
    def commands(self) -> float:
        """Return how many commands (transactions) it has carried out so far."""

    def stop(self) -> None:
        """End what `start` started."""
        if self.program is not None:
            self.program.stop()

    def _launch(self, command: list[str], port: int, user: str | None = None) -> None:
        self.port = port
        self.program = Program(command, self.folder, user=user)
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.program.ended:
                raise MissingServer(f"{self.name} ended at once: {self.program.last_words}")
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise MissingServer(f"{self.name} did not answer in {START_SECONDS:.0f} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            self.commands()
        except Exception:  # noqa: BLE001  # whatever it is: not yet
            return False
        return True


class RedisServer(Server):
    """Redis without persistence: the fastest it can be, and all that it holds dies with it."""

    name = "Redis"

    def start(self) -> None:
        """Start redis-server."""
        program = shutil.which("redis-server")
        if program is None:
            raise MissingServer("redis-server is not installed")
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self._launch([*command, "--save", "", "--appendonly", "no"], port)
        self.version = f"Redis {self._info('server')['redis_version']}"

    def fresh(self) -> dict[str, str]:
        """Flush it."""
        self._client().flushall()
        return {"BENCH_REDIS_URL": f"redis://127.0.0.1:{self.port}/0"}

    def commands(self) -> float:
        """Return the commands so far."""
        return float(self._info("stats")["total_commands_processed"])

    def _info(self, section: str) -> dict[str, Any]:
        info: dict[str, Any] = self._client().info(section)
        return info

    def _client(self) -> Any:
        import redis  # only where a peer needs it

        return redis.Redis(port=self.port)


class PostgresServer(Server):
    """PostgreSQL with `synchronous_commit=off`, which promises as much as SQLite's WAL does here.

    What was acknowledged survives the death of a client, a power cut may lose the last moments.
    """

    name = "PostgreSQL"

    def start(self) -> None:
        """Create a cluster and start it, as an unprivileged user where we are root."""
        initdb, postgres = _postgres_program("initdb"), _postgres_program("postgres")
        user = _unprivileged_user()
        data = self.folder / "data"
        if user is not None:
            shutil.chown(self.folder, user)
        setup = [initdb, "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync"]
        with Program(setup, self.folder, user=user) as program:
            if program.process.wait(60):
                raise MissingServer(f"initdb failed: {program.last_words}")
        port = free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
            "synchronous_commit": "off",
            "max_connections": "300",
            "shared_buffers": "256MB",
        }
        command = [postgres, "-D", str(data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._launch(command, port, user)
        self.version = f"PostgreSQL {self._query('SHOW server_version').split()[0]}"

    def fresh(self) -> dict[str, str]:
        """Make a new database."""
        name = f"bench_{secrets.token_hex(4)}"
        self._query(f"CREATE DATABASE {name}")
        return {"BENCH_POSTGRES_URL": f"postgresql://bench@127.0.0.1:{self.port}/{name}"}

    def discard(self, environment: Mapping[str, str]) -> None:
        """Drop the database."""
        name = environment["BENCH_POSTGRES_URL"].rpartition("/")[2]
        self._query(f"DROP DATABASE {name} WITH (FORCE)")

    def commands(self) -> float:
        """Return the transactions so far."""
        return float(self._query("SELECT sum(xact_commit+xact_rollback) FROM pg_stat_database"))

    def _query(self, sql: str) -> str:
        import psycopg

        url = f"postgresql://bench@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            row = cursor.fetchone() if cursor.description else None
            return str(row[0]) if row else ""


class MongoServer(Server):
    """A real MongoDB that $BENCH_MONGODB names, else a compatible server that we start."""

    name = "MongoDB"

    def start(self) -> None:
        """Start it, or connect to the one that is named."""
        self._url = os.environ.get("BENCH_MONGODB", "")
        kind = "MongoDB"
        if not self._url:
            program, kind = _mongo_program()
            port = free_port()
            self._url = f"mongodb://127.0.0.1:{port}/"
            config = self.folder / "secantusd.toml"  # else it would read one of the user's
            config.touch()
            options = ["--host", "127.0.0.1", "--port", str(port), "--config", str(config)]
            self._launch([*program, *options, "--storage-path", str(self.folder / "data")], port)
        self.version = f"{kind} (answers as {self.client().server_info()['version']})"

    def fresh(self) -> dict[str, str]:
        """Name a new database."""
        server, _, options = self._url.partition("?")
        url = f"{server.rstrip('/')}/bench_{secrets.token_hex(4)}"
        return {"BENCH_MONGODB_URL": f"{url}?{options}" if options else url}

    def discard(self, environment: Mapping[str, str]) -> None:
        """Drop the database."""
        url = environment["BENCH_MONGODB_URL"]
        self.client().drop_database(url.partition("?")[0].rpartition("/")[2])

    def commands(self) -> float:
        """Return the operations so far, where the server counts them."""
        counters = self.client().admin.command("serverStatus").get("opcounters", {})
        return float(sum(value for value in counters.values() if isinstance(value, int)))

    def client(self) -> Any:
        """Return a client of the server."""
        import pymongo

        return pymongo.MongoClient(self._url, serverSelectionTimeoutMS=5000)


class Servers:
    """All servers, each started when the first system asks for it."""

    KINDS: ClassVar[dict[str, type[Server]]] = {
        "redis": RedisServer,
        "postgres": PostgresServer,
        "mongodb": MongoServer,
    }

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, Server | MissingServer] = {}

    def get(self, kind: str) -> Server:
        """Return a running server; raises MissingServer, the second time at once."""
        if kind not in self._servers:
            folder = self._folder / kind
            folder.mkdir()
            server = self.KINDS[kind](folder)
            try:
                server.start()
            except MissingServer as error:
                server.stop()
                self._servers[kind] = error
            else:
                self._servers[kind] = server
        found = self._servers[kind]
        if isinstance(found, MissingServer):
            raise found
        return found

    def versions(self) -> list[str]:
        """Return the versions of those that run."""
        return [each.version for each in self._servers.values() if isinstance(each, Server)]

    def stop(self) -> None:
        """End all that we started."""
        for server in self._servers.values():
            if isinstance(server, Server):
                server.stop()


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _postgres_program(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(DEBIAN_POSTGRES.glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        raise MissingServer(f"{name} of PostgreSQL is not installed")
    return found


def _unprivileged_user() -> str | None:
    """Return who runs PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _mongo_program() -> tuple[list[str], str]:
    named = os.environ.get("SECANTUSD")
    if named:
        return [named], "SecantusDB, compiled server"
    beside = Path(PYTHON).parent / "secantusd-py"
    if beside.exists():
        return [str(beside), "--log-level", "WARNING"], "SecantusDB, server in Python"
    raise MissingServer("no $BENCH_MONGODB, and no secantusd-py is installed")
