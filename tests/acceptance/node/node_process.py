"""A process of Node.js with the npm package: a worker and a producer that does what it is told."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from bson import json_util

from tests.acceptance.node.peers import PROGRAM
from tests.processors import WAIT

_OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
_START_TIMEOUT = 60.0  # seconds; on a busy machine Node takes long to load its packages
_LONGEST_LINE = 64 * 1024 * 1024  # bytes; a status has all jobs in one line


class NodeError(Exception):
    """What a command raised in Node."""


class NodeProcess:
    """Started and set up on a database; a worker once `start` was called.

    db_url, log: the database, and the file to which handlers append.
    jobs, crons: definitions by name as Node takes them, with the kind of handler as `does`.
    tags: the worker's; None: it takes any job, ours too.
    """

    def __init__(self, db_url: str, log: Path, errors: Path, **options: Any) -> None:
        self.log = log
        self.ended_at: float | None = None
        self._errors = errors
        self._options = {"db": db_url, "log": str(log), **options}
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> NodeProcess:
        """Start the process, and wait until it has prepared the database."""
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                "node",
                str(PROGRAM),
                json.dumps(self._options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=_LONGEST_LINE,
            )
        await self._answer(_START_TIMEOUT)
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    async def start(self) -> None:
        """Begin to work."""
        await self.do("start")

    async def do(self, command: str, **arguments: Any) -> Any:
        """Give a command; return its answer. Raises NodeError with what was raised there."""
        line = json_util.dumps({"do": command, **arguments}, json_options=_OPTIONS)
        async with self._turn:
            stdin = self._running().stdin
            assert stdin is not None
            stdin.write(line.encode() + b"\n")
            await stdin.drain()
            return await self._answer()

    async def kill(self) -> None:
        """SIGKILL it and wait for its death."""
        process = self._running()
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self.ended_at = self.ended_at or time.time()

    @property
    def errors(self) -> str:
        """What it wrote on stderr."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    async def _answer(self, timeout: float = WAIT) -> Any:
        stdout = self._running().stdout
        assert stdout is not None
        async with asyncio.timeout(timeout):
            line = await stdout.readline()
        assert line, f"Node ended: {self.errors[-2000:]}"
        answer = json_util.loads(line, json_options=_OPTIONS)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["ok"]

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process
