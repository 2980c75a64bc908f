"""What each means against contention brings: workers with it and without it, in turn.

    python -m benchmarks.contention --db mongodb://127.0.0.1:27017/contention --workers 4 --rounds 5

Some workers share one MongoDB. `fleet`: they empty a long queue together. `single`: the same with
eight workers of one slot each. `trickle`: they are idle, and jobs come one by one. `polling`: the
same without a change stream, as on a standalone server. Each switch has the scenario in which it
matters; `--scenario single` runs all of them there.

Printed are, with and without each switch of `job_processor.store.contention`, the medians over the
rounds of the jobs settled per second or of the milliseconds from a job's time to its start; and for
each job the commands that the workers sent, the candidates that they read and lost to others, and,
where the server counts them (`metrics.operation.writeConflicts`), the write conflicts that it met
and hid. Each round runs both, and which is first alternates.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.external import add_db
from job_processor import AbortController, JobDef, JobProcessor
from job_processor.store.contention import OFF_VARIABLE, Contention

Figures = dict[str, float]

SCENARIOS = {
    "turns": "trickle",
    "spread": "fleet",
    "crowd": "single",
    "tries": "fleet",
    "one_first": "trickle",
    "eager_polling": "polling",
    "patience": "fleet",
    "early_answers": "trickle",
}
"""Where each of the switches matters."""

JOBS = {"fleet": 2000, "single": 1000, "trickle": 150, "polling": 60}
WORKERS = {"single": 8}
"""How many there are, where it is not four."""

SLOTS = {"single": 1}
"""Jobs that each of them runs at a time, where it is not twenty."""

DRAINS = {"fleet", "single"}
BETWEEN = {"trickle": 0.02, "polling": 0.1}
"""Seconds from one job to the next."""


async def _nothing() -> None: ...


def _processor(db: str, slots: int = 20) -> JobProcessor:
    return JobProcessor(db, jobs={"nothing": JobDef(_nothing)}, concurrency=slots)


# --- a worker, in a process of its own ------------------------------------------------------------


def _count_commands() -> list[int]:
    """Count what every client of this process sends from now on, and the candidates it loses."""
    from pymongo import monitoring

    counts, asked = [0, 0], dict[int, int]()

    class Counter(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            counts[0] += event.command_name != "hello"
            if wanted := _candidates(event.command_name, event.command):
                asked[event.request_id] = wanted

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            if wanted := asked.pop(event.request_id, 0):
                taken = event.reply.get("n", event.reply.get("value") is not None)
                counts[1] += wanted - int(taken)

        def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    monitoring.register(Counter())
    return counts


def _candidates(name: str, command: Mapping[str, Any]) -> int:
    """Return how many jobs, chosen by their ids, a command claims; 0: it is no such claim."""
    if name == "findAndModify":
        return int("_id" in command["query"] and "sort" not in command)
    if name != "update" or len(command["updates"]) > 1:
        return 0
    (update,) = command["updates"]
    chosen = update["q"].get("_id")
    is_claim = isinstance(chosen, dict) and "$in" in chosen and isinstance(update["u"], list)
    return len(chosen["$in"]) if is_claim else 0


def _without_streams() -> None:
    """Let every change stream be refused, as a standalone server does."""
    from pymongo.errors import OperationFailure

    from job_processor.store.mongo import watch

    def refuse(*_: Any) -> Any:
        raise OperationFailure("no replica set", 40573)

    vars(watch)["open_stream"] = refuse  # for this process


async def _work(db: str, slots: int) -> None:
    counts, stop = _count_commands(), AbortController()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.abort)
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(*counts, flush=True))
    async with _processor(db, slots) as processor:
        await processor.run_worker(stop.signal)


# --- the scenarios --------------------------------------------------------------------------------


class Fleet:
    """Workers in processes of their own, with one switch turned off or none."""

    def __init__(self, db: str, workers: int, off: str | None, scenario: str) -> None:
        command = [sys.executable, "-m", "benchmarks.contention", "--work", "--db", db]
        command += ["--slots", str(SLOTS.get(scenario, 20))]
        command += ["--without-streams"] if scenario == "polling" else []
        environment = {**os.environ, OFF_VARIABLE: off or ""}
        self._workers = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(workers)
        ]

    def counts(self) -> Figures:
        """Return the commands that all have sent so far, and the candidates that they lost."""
        counts = {"commands": 0.0, "lost": 0.0}
        for worker in self._workers:
            worker.send_signal(signal.SIGUSR1)
            assert worker.stdout is not None
            for name, count in zip(counts, worker.stdout.readline().split(), strict=True):
                counts[name] += int(count)
        return counts

    def stop(self) -> None:
        """Let all of them end."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()


async def _until_alive(processor: JobProcessor, workers: int) -> None:
    async with asyncio.timeout(60):
        while len((await processor.get_status())["workers"]) < workers:  # noqa: ASYNC110  # other processes do it
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)  # each has seen the others and has its change stream


async def _until_settled(processor: JobProcessor, jobs: int) -> None:
    async with asyncio.timeout(300):
        while await processor.count_jobs(jobs + 1, status="finished") < jobs:  # noqa: ASYNC110  # other processes do it
            await asyncio.sleep(0.05)


async def _measure(db: str, workers: int, jobs: int, scenario: str, off: str | None) -> Figures:
    """Run one scenario once."""
    async with _processor(db) as processor:
        if scenario in DRAINS:
            await processor.pause("nothing")
        fleet = Fleet(db, workers, off, scenario)
        try:
            await _until_alive(processor, workers)
            if scenario in DRAINS:
                await processor.schedule_jobs(["nothing"] * jobs, return_jobs=False)
                before, began = _counts(db, fleet), time.perf_counter()
                await processor.resume("nothing")
                await _until_settled(processor, jobs)
                figures = {"jobs/s": jobs / (time.perf_counter() - began)}
            else:
                before = _counts(db, fleet)
                for _ in range(jobs):
                    await processor.schedule_job("nothing")
                    await asyncio.sleep(BETWEEN[scenario])
                await _until_settled(processor, jobs)
                figures = await _pickups(processor, jobs)
            after = _counts(db, fleet)
            figures |= {name: (after[name] - count) / jobs for name, count in before.items()}
        finally:
            fleet.stop()
        return figures


def _counts(db: str, fleet: Fleet) -> Figures:
    """Return what the workers have counted so far and, if it counts any, the server."""
    import pymongo

    with pymongo.MongoClient[dict[str, Any]](db) as client:
        metrics = client.admin.command("serverStatus").get("metrics", {})
    conflicts = metrics.get("operation", {}).get("writeConflicts")
    return fleet.counts() | ({} if conflicts is None else {"conflicts": float(conflicts)})


async def _pickups(processor: JobProcessor, jobs: int) -> Figures:
    """Return the milliseconds from a job's time to its start."""
    page = await processor.find_jobs(limit=jobs)
    waits = sorted(
        (job.started_at - job.scheduled_for).total_seconds() * 1000
        for job in page.jobs
        if job.started_at is not None
    )
    return {"p50 ms": statistics.median(waits), "p95 ms": waits[int(len(waits) * 0.95)]}


def _drop(db: str) -> None:
    import pymongo

    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(db)
    client.drop_database(client.get_default_database().name)
    client.close()


def _run(options: argparse.Namespace, scenario: str, off: str | None) -> Figures:
    """Run one scenario on a database of its own, which is dropped afterwards."""
    address, _, query = options.db.partition("?")
    db = f"{address.rstrip('/')}_{os.getpid()}_{time.monotonic_ns()}?{query}".rstrip("?")
    try:
        jobs = options.jobs or JOBS[scenario]
        workers = options.workers or WORKERS.get(scenario, 4)
        return asyncio.run(_measure(db, workers, jobs, scenario, off))
    finally:
        _drop(db)


def _lines(name: str, found: Mapping[str, list[Figures]]) -> Iterable[str]:
    """Yield a line for each figure: the medians with and without, and the ratios of the rounds."""
    for figure in found["with"][0]:
        with_it, without = (
            statistics.median(each[figure] for each in found[side]) for side in ("with", "without")
        )
        rounds = zip(found["with"], found["without"], strict=True)
        ratios = [a[figure] / b[figure] for a, b in rounds if b[figure]] or [float("nan")]
        yield (
            f"{name:14} {figure:9} {with_it:9.2f} with, {without:9.2f} without; ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_db(parser)
    parser.add_argument("--workers", type=int, help="4 without; of one slot each, 8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, help="of each run; 2000, 1000, 150 or 60 without")
    parser.add_argument("--scenario", choices=JOBS, help="for all switches; without: each its own")
    parser.add_argument("--only", default="", help="switches, separated by commas; all without")
    parser.add_argument("--slots", type=int, default=20, help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--without-streams", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        if options.without_streams:
            _without_streams()
        asyncio.run(_work(options.db, options.slots))
        return
    for name in [each for each in options.only.split(",") if each] or Contention.names():
        found: dict[str, list[Figures]] = {"with": [], "without": []}
        for turn in range(options.rounds):
            sides = [("with", None), ("without", name)]
            for side, off in sides if turn % 2 else sides[::-1]:
                found[side].append(_run(options, options.scenario or SCENARIOS[name], off))
        for line in _lines(name, found):
            print(line, flush=True)


if __name__ == "__main__":
    main()
