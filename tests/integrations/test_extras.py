"""What an integration needs beyond the package: named where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = [
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
    assert done.stdout.endswith(f"pip install 'job-processor[{extra}]'\n")


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
