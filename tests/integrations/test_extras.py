"""What an integration needs beyond the package: named where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = [
    ("encryption", "cryptography", "crypto"),
    ("django", "django", "django"),
    ("mcp", "mcp", "mcp"),
    ("otel", "opentelemetry", "otel"),
    ("prometheus", "prometheus_client", "prometheus"),
    ("sentry", "sentry_sdk", "sentry"),
    ("starlette", "starlette", "starlette"),
]


@pytest.mark.parametrize(("module", "missing", "extra"), EXTRAS)
def test_a_missing_extra_is_named(module: str, missing: str, extra: str) -> None:
    """The import fails with our own error, which says what to install."""
    program = f"""
import sys
sys.modules[{missing!r}] = None
from job_processor import JobProcessorError
try:
    import job_processor.integrations.{module}
except JobProcessorError as error:
    assert isinstance(error, ImportError)
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f" needs more packages: pip install 'job-processor[{extra}]'" in done.stdout


def test_nothing_optional_is_imported() -> None:
    """Neither the processor nor what needs no extra imports one."""
    program = (
        "import sys, job_processor.processor, job_processor.sync, job_processor.testing\n"
        "import job_processor.integrations.base, job_processor.integrations.logs\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    optional = {"sentry_sdk", "prometheus_client", "opentelemetry", "structlog", "pytest"}
    assert not loaded & {*optional, "starlette", "django", "pymongo"}


def test_only_handlers_in_processes_pay_for_them() -> None:
    """A worker without any imports neither the pool nor what brings log lines over."""
    program = """
import asyncio, sys
from job_processor import JobDef, JobProcessor

async def main():
    jobs = {"plain": JobDef(lambda: 1)}
    async with JobProcessor("sqlite://", jobs=jobs) as processor:
        job = await processor.schedule_job("plain")
        await processor.run_worker(burst=True)
        print((await processor.get_job(job.id)).result())

asyncio.run(main())
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    result, *loaded = done.stdout.split()
    assert result == "1"
    parts = {
        "pebble",
        "job_processor.worker.processes.pool",
        "job_processor.worker.processes.forwarding",
    }
    assert not parts & set(loaded)
