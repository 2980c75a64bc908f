"""The application of the demo: real work of several kinds, with only the standard library.

Its workers are started with `job-processor worker job_processor.cli.demo.jobs:make`.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import importlib.util
import itertools
import json
import lzma
import math
import os
import re
import signal as signals
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_processor import AbortSignal, JobProcessor, Retry

PREFIX = "job_processor_demo"
MAX_RUNTIME = 0.03  # minutes
ATTEMPTS = 3
CRON_SECONDS = 2
TIMEOUT = 4.0  # seconds without a heartbeat
_HASH_ROUNDS = 20_000
_ROWS_PER_SECOND = 40  # an import that is easy on the database it fills
_SALT = b"job-processor demo"
_ANEW = Retry(max_attempts=3, delay=0)  # after a crash of its worker: these may run again
_NO_MODULES = frozenset({"antigravity", "this"})  # importing does more than it says

Payload = Mapping[str, Any]


def make(db: str | None = None) -> JobProcessor:
    """Return the demo's processor; timers are quick, so that a crash is noticed in seconds."""
    if db is None:
        _end_with_parent()
    processor = JobProcessor(
        db,
        concurrency=4,
        poll_interval=0.5,
        heartbeat_interval=0.5,
        worker_timeout=TIMEOUT,
        shutdown_grace=5,
        kill_grace=1,
        service="demo",
        collection_prefix=PREFIX,
    )
    processor.job(retry=_ANEW)(hash_password)
    processor.job(retry=_ANEW)(count_words)
    processor.job(retry=_ANEW)(compress_source)
    processor.job(retry=_ANEW)(find_primes)
    processor.job(retry=_ANEW)(send_reminder)
    processor.job(resumable=True)(import_accounts)
    processor.job(exclusive=True, retry=_ANEW)(rebuild_index)
    processor.job(retry=Retry(max_attempts=ATTEMPTS, delay=0.5))(read_settings)
    processor.job()(guess_password)
    processor.job(max_runtime_in_minutes=MAX_RUNTIME)(endless_report)
    # "all": on a machine too busy to look every 2 s, what was missed is made up for.
    processor.cron(f"*/{CRON_SECONDS} * * * * *", misfire="all", retry=_ANEW)(measure_load)
    return processor


def hash_password(payload: Payload) -> dict[str, str]:
    """Hash a password slowly, as one should."""
    return {"hash": _hash(payload["password"])}


def count_words(payload: Payload) -> dict[str, Any]:
    """Count the words in the source of a module of the standard library."""
    words = Counter(re.findall(r"[a-z]+", _source(payload["module"]).lower()))
    return {"words": words.total(), "most_frequent": [word for word, _ in words.most_common(3)]}


def compress_source(payload: Payload) -> dict[str, int]:
    """Compress the source of a module."""
    source = _source(payload["module"]).encode()
    return {"bytes": len(source), "compressed": len(lzma.compress(source))}


async def find_primes(payload: Payload) -> dict[str, int]:
    """Count the primes in a range, a slice at a time, so that the event loop stays free."""
    count = 0
    for start in range(payload["start"], payload["stop"], payload["slice"]):
        count += _primes_between(start, min(start + payload["slice"], payload["stop"]))
        await asyncio.sleep(0)
    return {"primes": count}


def send_reminder(payload: Payload) -> dict[str, str]:
    """Write the reminder that was scheduled for later."""
    return {"text": f"Do not forget: {payload['subject']}."}


def import_accounts(payload: Payload, signal: AbortSignal) -> dict[str, Any]:
    """Import accounts from a CSV file; taken up again, it goes on after the last row written."""
    target = Path(payload["target"])
    _cut_torn_row(target)
    done = rows_in(target)
    with Path(payload["source"]).open() as source, target.open("a") as output:
        for row in itertools.islice(csv.DictReader(source), done, None):
            signal.raise_if_aborted()
            began = time.monotonic()
            secret = _hash(row["password"])
            output.write(f"{row['account']},{secret},{os.getpid()}\n")
            output.flush()
            time.sleep(max(1 / _ROWS_PER_SECOND - (time.monotonic() - began), 0))
    return _import_report(target)


def rebuild_index() -> dict[str, int]:
    """Build an index from words to the modules that use them."""
    index: dict[str, set[str]] = {}
    for module in modules():
        for word in re.findall(r"[a-z]{4,}", _source(module).lower()):
            index.setdefault(word, set()).add(module)
    return {"modules": len(modules()), "words": len(index)}


def read_settings(payload: Payload) -> dict[str, Any]:
    """Read settings; the demo's are broken."""
    settings: dict[str, Any] = json.loads(payload["text"])
    return settings


async def guess_password(payload: Payload, signal: AbortSignal) -> str | None:
    """Try every password of 12 letters, for some thousand years or until killed."""
    for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=12):
        if signal.aborted:
            return None
        guess = "".join(letters)
        if await asyncio.to_thread(_hash, guess) == payload["hash"]:
            return guess
    return None


async def endless_report() -> None:
    """Go round in circles, as reports do, until the max runtime ends it."""
    for module in itertools.cycle(modules()):
        await asyncio.to_thread(count_words, {"module": module})


def measure_load() -> dict[str, float]:
    """Note how busy the machine is."""
    return {"load": round(os.getloadavg()[0], 2)}


def modules() -> list[str]:
    """Return names of modules of the standard library that are written in Python."""
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
    return [name for name in names if name not in _NO_MODULES and _path(name) is not None]


def rows_in(target: Path) -> int:
    """Return how many whole rows an import has written so far."""
    return target.read_bytes().count(b"\n") if target.exists() else 0


def _cut_torn_row(target: Path) -> None:
    """Remove a last row that a crash left without its end."""
    if target.exists():
        os.truncate(target, target.read_bytes().rfind(b"\n") + 1)


def _import_report(target: Path) -> dict[str, Any]:
    """Return how many rows there are, how many accounts, and which process wrote how many."""
    rows = [line.split(",") for line in target.read_text().splitlines()]
    by_process = Counter(pid for _, _, pid in rows)
    return {
        "rows": len(rows),
        "accounts": len({account for account, _, _ in rows}),
        "processes": [{"pid": int(pid), "rows": count} for pid, count in by_process.items()],
    }


def _hash(password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), _SALT, _HASH_ROUNDS).hex()


def _primes_between(start: int, stop: int) -> int:
    sieve = bytearray(b"\1") * (stop - start)
    for divisor in range(2, math.isqrt(stop) + 1):
        first = max(divisor * divisor, -(-start // divisor) * divisor) - start
        sieve[first::divisor] = bytes(len(range(first, stop - start, divisor)))
    return sum(sieve)


def _source(module: str) -> str:
    path = _path(module)
    return path.read_text(encoding="utf-8", errors="replace") if path is not None else ""


def _path(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _end_with_parent() -> None:
    """Stop this worker when the demo that started it is gone: then the pipe to it is closed."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signals.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
