"""Another process on the same file, which does what a test asks it for.

Run as a program it reads one command a line and answers each with one line.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.store.sqlite import SqliteStore
from tests.processors import WAIT
from tests.samples import DAY, NOW, WORKER, claim, end, simple, worker

ROOT = Path(__file__).parents[3]


class Peer:
    """The test's side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(self._path), cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        assert await self.answer() == "ready"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()  # it reads the end, and ends
        async with asyncio.timeout(WAIT):
            assert await self._process.wait() == 0

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def order(self, *words: object) -> None:
        """Give a command; its answer is read by `answer`."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    async def answer(self) -> str:
        """Return the next answer."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            line = (await self._process.stdout.readline()).decode()
        assert line.endswith("\n"), "the peer is dead"
        return line.strip()

    async def ask(self, *words: object) -> str:
        """Give a command and return its answer."""
        self.order(*words)
        return await self.answer()


class Program:
    """The other side: each public method is a command."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._store = SqliteStore(path)

    async def run(self) -> None:
        """Obey until there are no more commands."""
        await self._store.setup()
        await self._store.workers.register(worker(id=WORKER))
        say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            command, *words = line.split()
            try:
                answer = await getattr(self, command)(*words)
            except StoreError as error:
                answer = f"{type(error).__name__}: {error}"
            say(answer)
        await self._store.close()

    async def insert(self, name: str = "resize", count: str = "1", size: str = "0") -> str:
        """Insert jobs in one transaction; answer when that was done, by the monotonic clock."""
        payload = {"filling": "x" * int(size)}
        jobs = [simple(name, due_in=-DAY, payload=payload) for _ in range(int(count))]
        await self._store.intake.insert(jobs)
        return str(time.monotonic())

    async def beat(self) -> str:
        """Send heartbeats."""
        for _ in range(5):
            await self._store.workers.register(worker(id=WORKER))
        return "ok"

    async def work(self) -> str:
        """Claim what is due, settle it, answer the ids."""
        runs = await self._store.queue.claim(claim(1000))
        verdict = await self._store.runs.settle([end(run) for run in runs])
        return ",".join(sorted(map(str, verdict.won)))

    async def request_kill(self) -> str:
        """Ask for the end of some job."""
        await self._store.kills.request(ObjectId(), WORKER, NOW)
        return "ok"

    async def put_setting(self, name: str) -> str:
        """Make a setting."""
        return str(await self._store.settings.put("kind", name, {"x": 1}, None))

    async def has(self, job_id: str) -> str:
        """Tell whether a job is there."""
        return str(await self._store.history.get(ObjectId(job_id)) is not None)

    async def lock(self, seconds: str) -> str:
        """Say so, then keep the write lock for a while, and answer when it was given back."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        say("locked")
        await asyncio.sleep(float(seconds))
        connection.execute("COMMIT")
        connection.close()
        return str(time.monotonic())

    async def limit(self, size: str) -> str:
        """Let no file of this process grow beyond a size, as on a disk that is full; -1: free."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size == "-1" else int(size), hard))
        return "ok"

    async def write_until_full(self) -> str:
        """Insert jobs until that is refused; answer how many are in, and the error."""
        count = 0
        try:
            while True:
                await self._store.intake.insert([simple(payload={"filling": "x" * 2000})])
                count += 1
        except StoreError as error:
            return f"{count} {type(error).__name__}: {error}"


def say(line: str) -> None:
    """Answer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    asyncio.run(Program(sys.argv[1]).run())
