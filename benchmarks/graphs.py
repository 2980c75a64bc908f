"""Many jobs and one that follows them, and chains of jobs, beside peers: see `benchmarks.flows`.

In turns: run 1 of every system, then run 2. The whole graph is stored first, then one worker
starts; `run` is from its first to its last handler call, which is that of what follows all others.
`asked` is what the worker asks its database a job: statements of SQLite, commands of Redis.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.programs import ProgramError
from benchmarks.servers import MissingServer, Servers
from benchmarks.sessions import Session
from benchmarks.systems import load
from benchmarks.systems.base import System, Variant

SYSTEMS = ("sqlite", "celery", "bullmq")
CHOSEN = {"sqlite": "100 at a time, uvloop", "mongodb": "100 at a time, uvloop"}
"""The variant of each; the first of the others."""

EXTRA = {"celery": {"BENCH_RESULTS": "1"}}
"""What a system needs for graphs beside what it needs for jobs."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What is stored and run."""

    title: str
    jobs: int
    request: dict[str, object]


@dataclass(slots=True)
class Times:
    """The runs of one system."""

    stored: list[float] = field(default_factory=list)
    ran: list[float] = field(default_factory=list)
    asked: float | None = None


def fan_in(members: int) -> Graph:
    """Return many jobs, and one that follows them."""
    request = {"do": "fan_in", "count": members}
    return Graph(f"{members:,} jobs, then one", members + 1, request)


def chains(count: int, length: int) -> Graph:
    """Return chains."""
    request = {"do": "chains", "count": count, "length": length}
    return Graph(f"{count} chains of {length}", count * length, request)


def measure(graphs: Sequence[Graph], keys: Sequence[str], runs: int) -> None:
    """Print a table for each graph."""
    loaded = {key: load(key) for key in keys}
    for key, why in loaded.items():
        if isinstance(why, str):
            print(f"{key}: not measured: {why}")
    systems = [system for system in loaded.values() if isinstance(system, System)]
    with tempfile.TemporaryDirectory(prefix="bench-servers-") as folder:
        servers = Servers(Path(folder))
        try:
            for graph in graphs:
                _table(graph, systems, runs, servers)
        finally:
            servers.stop()


def _table(graph: Graph, systems: Sequence[System], runs: int, servers: Servers) -> None:
    times = {system.key: Times() for system in systems}
    failed: dict[str, str] = {}
    for run in range(runs):
        for system in systems:
            if system.key in failed:
                continue
            try:
                _once(graph, system, servers, times[system.key], counts=run == 0)
            except (MissingServer, ProgramError) as error:
                failed[system.key] = str(error)
    print(
        f"\n| {graph.title} | stored | run | jobs/s | asked a job |"
        "\n| --- | --- | --- | --- | --- |"
    )
    for system in systems:
        found = times[system.key]
        if why := failed.get(system.key):
            print(f"| {system.title} | not measured: {why} | | | |")
            continue
        asked = "" if found.asked is None else f"{found.asked:.2f}"
        rate = graph.jobs / statistics.median(found.ran)
        print(
            f"| {system.title}, {_variant(system).name} | {_spread(found.stored)} "
            f"| {_spread(found.ran)} | {rate:,.0f} | {asked} |",
            flush=True,
        )


def _once(graph: Graph, system: System, servers: Servers, times: Times, *, counts: bool) -> None:
    """Store a graph and run it; counts: also run it once more, to count what is asked."""
    extra, variant = EXTRA.get(system.key, {}), _variant(system)
    with Session(servers, system, variant, **extra) as session:
        answer = session.enqueue(**graph.request)
        before = None if session.server is None else session.server.commands()
        ran = session.drain(graph.jobs)
        times.stored.append(float(answer["seconds"]))
        times.ran.append(ran.settled_seconds or ran.seconds)
        if before is not None and session.server is not None:
            times.asked = (session.server.commands() - before) / graph.jobs
    if counts and system.kind == "ours":
        with Session(servers, system, variant, BENCH_COUNT="1") as session:
            session.enqueue(**graph.request)
            session.drain(graph.jobs)
            times.asked = session.probe.read().statements / graph.jobs


def _variant(system: System) -> Variant:
    wanted = CHOSEN.get(system.key)
    return next((each for each in system.variants if each.name == wanted), system.variants[0])


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
