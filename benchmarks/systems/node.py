"""What the Node peers have in common."""

from __future__ import annotations

import json
import shutil
from typing import ClassVar

from benchmarks.programs import ROOT
from benchmarks.systems.base import System, Variant

FOLDER = ROOT / "benchmarks" / "node"


class NodeSystem(System):
    """A script of `benchmarks/node`, which is both producer and worker."""

    script: ClassVar[str]

    def worker(self, variant: Variant) -> list[str]:
        """Return the script as a worker."""
        return ["node", str(FOLDER / self.script), "worker"]

    def producer(self) -> list[str]:
        """Return the script as a producer."""
        return ["node", str(FOLDER / self.script), "producer"]

    def missing(self) -> str | None:
        """Return what is not installed."""
        if shutil.which("node") is None:
            return "node is not installed"
        gone = [name for name in self.packages if version(name) is None]
        return f"not installed in benchmarks/node: {', '.join(gone)}" if gone else None


def version(package: str) -> str | None:
    """Return the version of an installed package."""
    manifest = FOLDER / "node_modules" / package / "package.json"
    if not manifest.exists():
        return None
    found: str = json.loads(manifest.read_text())["version"]
    return found
