"""The cost of parameters that are the payload's fields.

    python -m benchmarks.fields

Prints microseconds of the processor for a job with fields and for one with a mapping, each the best
of several rounds: to make the job that is stored, and to call the handler for it. No database is
asked.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

from job_processor import JobProcessor
from job_processor.jobs.request import JobRequest, make_job
from job_processor.parts import parts_of

ROUNDS = 9
CALLS = 20_000

processor = JobProcessor("sqlite://")


@processor.job
def fields(to: str, subject: str = "hi", times: int = 1) -> None:
    """Take fields."""


@processor.job
def mapping(payload: dict[str, Any]) -> None:
    """Take a mapping."""


def main() -> None:
    """Print the table."""
    parts = parts_of(processor)
    payload = {"to": "ada", "subject": "hello", "times": 3}
    bound = {name: job.bound for name, job in processor.registry.jobs.items()}
    job = make_job(parts, JobRequest("fields", payload))
    measured: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        (
            "make the job",
            lambda: make_job(parts, fields.request("ada", subject="hello", times=3)),
            lambda: make_job(parts, JobRequest("mapping", dict(payload))),
        ),
        (
            "arguments of the handler",
            lambda: bound["fields"].arguments(job, None),
            lambda: bound["mapping"].arguments(job, None),
        ),
    ]
    print(f"{'µs':<26}{'fields':>8}{'mapping':>9}{'more':>7}")
    for what, ours, other in measured:
        one, two = _best(ours), _best(other)
        print(f"{what:<26}{one:>8.2f}{two:>9.2f}{one - two:>7.2f}")


def _best(call: Callable[[], object]) -> float:
    rounds = timeit.repeat(call, timer=time.process_time, number=CALLS, repeat=ROUNDS)
    return min(rounds) / CALLS * 1e6


if __name__ == "__main__":
    main()
