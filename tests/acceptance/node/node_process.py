"""A process of Node.js that holds workers of the npm package, each told what to do by itself."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bson import json_util

from tests.acceptance.node.peers import PROGRAM
from tests.processors import WAIT

_OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
_START_TIMEOUT = 60.0  # seconds; on a busy machine Node takes long to load its packages


class NodeError(Exception):
    """What a command raised in Node."""


class NodeProcess:
    """Started when it is made; it may serve event loops one after the other, and ends with `kill`.

    errors: the file that gets its stderr.
    """

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                ["node", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._reader = threading.Thread(target=self._read, name="answers of Node", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL it and wait for its death."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    async def call(self, message: dict[str, Any], timeout: float = WAIT) -> Any:
        """Give a command; return its answer. Raises NodeError with what was raised there."""
        number, answer = next(self._numbers), Future[Any]()
        self._waiting[number] = answer
        line = json_util.dumps({"call": number, **message}, json_options=_OPTIONS)
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(BrokenPipeError), self._lock:
            stdin.write(line.encode() + b"\n")
            stdin.flush()
        if self._process.poll() is not None:
            self._end()
        async with asyncio.timeout(timeout):
            answered = await asyncio.wrap_future(answer)
        if "error" in answered:
            raise NodeError(answered["error"])
        return answered["ok"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json_util.loads(line, json_options=_OPTIONS)
            waiting = self._waiting.pop(answer["call"])
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(answer)
        self._end()

    def _end(self) -> None:
        told = self._errors.read_text(encoding="utf-8", errors="replace")[-2000:]
        while self._waiting:
            _, waiting = self._waiting.popitem()
            if waiting.set_running_or_notify_cancel():
                waiting.set_result({"error": f"Node ended: {told}"})


class NodeWorker:
    """Set up on a database; a worker once `start` was called.

    db_url, log, errors: the database, the files to which its handlers and its logger append.
    jobs, crons: definitions by name as Node takes them, with the kind of handler as `does`.
    tags: the worker's; None: it takes any job, ours too.
    """

    _numbers = itertools.count()

    def __init__(
        self, process: NodeProcess, db_url: str, log: Path, errors: Path, **options: Any
    ) -> None:
        self._process = process
        self._number = next(self._numbers)
        self._errors = errors
        self._options = {"db": db_url, "log": str(log), "errors": str(errors), **options}
        self._is_open = False

    async def open(self) -> None:
        """Prepare the database."""
        message = {"worker": self._number, "do": "open", **self._options}
        await self._process.call(message, _START_TIMEOUT)
        self._is_open = True

    async def start(self) -> None:
        """Begin to work."""
        await self.do("start")

    async def do(self, command: str, **arguments: Any) -> Any:
        """Give a command; return its answer. Raises NodeError with what was raised there."""
        return await self._process.call({"worker": self._number, "do": command, **arguments})

    async def close(self) -> None:
        """Stop working and leave the database; twice is harmless."""
        if self._is_open:
            self._is_open = False
            await self.do("close")

    @property
    def errors(self) -> str:
        """What its logger wrote of errors."""
        return self._errors.read_text(encoding="utf-8") if self._errors.exists() else ""
