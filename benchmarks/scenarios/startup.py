"""How long until it is there: the import, the command line, the worker?"""

from __future__ import annotations

import subprocess
import time
from statistics import median

from benchmarks.programs import PYTHON, python_environment
from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System

TRIES = 5
IMPORT = (
    "import time; began = time.perf_counter(); import job_processor; "
    "print(1000 * (time.perf_counter() - began))"
)


class Startup(Scenario):
    """Time to the first sign of life."""

    name = "startup"
    title = "Start-up"
    plain = True
    question = (
        "In ms: `import job_processor` in a running interpreter, the whole of "
        "`job-processor --help`, and from the start of a worker process to the first handler call "
        "of a job that waits in the queue."
    )
    columns = (
        Column("import", "import ms", better="lower"),
        Column("help", "--help ms", better="lower"),
        Column("ready", "worker ready ms", better="lower", ratio=True, plot=True),
    )

    def measure(self, bench: Bench, system: System) -> Measured:
        """Start everything."""
        with bench.session(system, self.variant(bench, system)) as session:
            session.fill(1)
            began = time.monotonic_ns()
            session.start_worker()
            ready = (session.wait_for(1).first_ns - began) / 1e6
        if system.key != "sqlite":
            return {"ready": ready}
        imports = [float(_run([PYTHON, "-c", IMPORT])[0]) for _ in range(TRIES)]
        helps = [_run([PYTHON, "-m", "job_processor", "--help"])[1] for _ in range(TRIES)]
        return {"ready": ready, "import": median(imports), "help": median(helps)}


def _run(command: list[str]) -> tuple[str, float]:
    """Return what it printed, and how many ms it took."""
    began = time.monotonic()
    done = subprocess.run(
        command, env=python_environment(), capture_output=True, text=True, check=True
    )
    return done.stdout, 1000 * (time.monotonic() - began)
