"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

CONFTEST = """
import pytest
from job_processor import JobProcessor

processor = JobProcessor("mongodb://127.0.0.1:1/app")

@processor.job()
async def greet(payload: dict) -> str:
    return "hello " + payload["name"]

@pytest.fixture
def job_processor():
    return processor
"""
FAKES = """
import pytest
from contextlib import asynccontextmanager
from job_processor import JobProcessor

@asynccontextmanager
async def lifespan(processor):
    yield {"client": "real"}

processor = JobProcessor("mongodb://127.0.0.1:1/app", lifespan=lifespan)

@processor.job
async def use(resources: dict) -> str:
    return resources["client"]

@pytest.fixture
def job_processor():
    return processor
"""
TEST_OF_RESOURCES = """
async def test_a(job_tester, job_processor):
    await job_processor.schedule_job("use")
    assert [job.result() for job in await job_tester.drain()] == ["%s"]
    assert job_tester.resources == {"client": "%s"}
"""
GIVEN = """
@pytest.fixture
def job_resources():
    return {"client": "fake"}
"""
MARK = "import pytest\npytestmark = pytest.mark.asyncio\n"
TESTS = """
async def test_a(job_tester, job_processor, job_clock):
    await job_processor.schedule_job("greet", {"name": "Ada"})
    assert [job.result() for job in await job_tester.drain()] == ["hello Ada"]
    assert job_clock is job_tester.clock

async def test_b(job_tester):
    job_tester.assert_not_scheduled()
    assert (await job_tester.processor.find_jobs()).jobs == ()
"""


def run_pytest(folder: Path, *plugins: str) -> str:
    """Run pytest in a folder, with these plugins alone; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixtures(tmp_path: Path, mode: str) -> None:
    """An application's processor is in memory for each test anew, in either mode."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_greet.py").write_text(MARK + TESTS)
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "job_processor.pytest_plugin"]
    told = run_pytest(tmp_path, *plugins, "-o", f"asyncio_mode={mode}")
    assert "2 passed" in told, told


@pytest.mark.parametrize(("more", "client"), [("", "real"), (GIVEN, "fake")])
def test_resources(tmp_path: Path, more: str, client: str) -> None:
    """Those of the lifespan, or those that the application's fixture gives."""
    (tmp_path / "conftest.py").write_text(FAKES + more)
    (tmp_path / "test_use.py").write_text(MARK + TEST_OF_RESOURCES % (client, client))
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "job_processor.pytest_plugin"]
    told = run_pytest(tmp_path, *plugins, "-o", "asyncio_mode=strict")
    assert "1 passed" in told, told


def test_the_plugin_is_announced_and_light() -> None:
    """Pytest finds it by its entry point; loading it loads nothing of the package's engine."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    place = entries["pytest11"]["job-processor"]
    assert import_module(place).job_tester is not None
    program = f"import sys, {place}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"bson", "job_processor.processor", "job_processor.testing"}
