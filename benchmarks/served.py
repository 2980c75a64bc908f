"""The memory of a dashboard that is a process of its own, as `job-processor web` starts it."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

ROUNDS = 6
"""How often all pages are visited before the last weighing."""

PROBE_WITHOUT_WORKERS = 503


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (1,000,000 bytes) of the process: interpreter, libraries, pages, caches."""

    uss: float
    """What only this process has, and what the system would get back from its end."""
    rss: float
    """All of it in memory, shared libraries included; not what the system caches of the file."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A dashboard's memory, before and after it was used."""

    begun: Memory
    visited: Memory
    """After each page once."""
    used: Memory
    """After each page `ROUNDS` times."""


def weigh_served(url: str, paths: Sequence[str]) -> Weight:
    """Start a dashboard of a database, visit these pages, one after the other, and weigh it."""
    with _served(url) as (address, process):
        begun = _memory(process)
        weighed = []
        for _ in range(ROUNDS):
            for path in paths:
                _visit(address.rstrip("/") + path)
            weighed.append(_memory(process))
        return Weight(begun, weighed[0], weighed[-1])


@contextmanager
def _served(url: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "job_processor", "web"]
    command += ["--db", url, "--port", "0", "--no-login"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = next(line for line in process.stdout if "http://" in line)
            yield told[told.index("http://") :].split()[0], process.pid
        finally:
            process.terminate()


def _visit(address: str) -> None:
    try:
        with urllib.request.urlopen(address, timeout=120) as answer:  # noqa: S310  # our own
            answer.read()
    except urllib.error.HTTPError as error:
        error.read()
        if error.code != PROBE_WITHOUT_WORKERS:
            raise


def _memory(process: int) -> Memory:
    found = psutil.Process(process).memory_full_info()
    return Memory(found.uss / 1e6, found.rss / 1e6)
