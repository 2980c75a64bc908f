"""What a figure was measured on: processor, Python, versions; no name of a host, no path."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks.programs import OVERLAYS
from benchmarks.systems.base import System
from benchmarks.systems.node import NodeSystem
from benchmarks.systems.node import version as node_version


def facts(systems: Iterable[System], servers: Iterable[str]) -> dict[str, Any]:
    """Return what is to be kept beside the figures."""
    versions: dict[str, str] = {}
    for system in systems:
        for package in system.packages:
            if isinstance(system, NodeSystem):
                versions[f"{package} (npm)"] = node_version(package) or "?"
            else:
                name = f"{package} ({system.key})" if system.overlay else package
                versions[name] = _python_version(package, system.overlay)
    if any(isinstance(system, NodeSystem) for system in systems):
        versions["Node"] = _output(["node", "--version"])
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "servers": sorted(servers),
        "versions": dict(sorted(versions.items())),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _python_version(package: str, overlay: str) -> str:
    path = [str(OVERLAYS / overlay)] if overlay else sys.path
    found = next(iter(distributions(name=package, path=path)), None)
    return found.version if found else "?"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
