"""The wheel of dist/ in empty environments, with no extra and with each one alone.

These tests download what the package needs, so they run by `make package-test` only.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.packaging.installed import WAIT, Installed, install, until
from tests.packaging.project import extras

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]

PROGRAMS = {
    "django": """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["job_processor.integrations.django"],
    JOB_PROCESSOR={"DB": "sqlite:///django.db"},
)
import django
django.setup()
from job_processor.integrations.django import get_client, get_processor
@get_processor().job()
def hello():
    return "Hello, Ada!"
job = get_client().schedule_job("hello")
from django.core.management import call_command
try:
    call_command("job_processor", "worker", "--burst")
except SystemExit as left:
    assert not left.code
assert get_client().wait_for_job(job.id, timeout=20).result() == "Hello, Ada!"
get_client().close()
""",
    "mcp": """
from job_processor.integrations.mcp import create_server
create_server(made())
""",
    "crypto": """
from job_processor.integrations.encryption import Encryption
run(codec=Encryption({"k": Encryption.new_key()}))
""",
    "otel": """
from job_processor.integrations.otel import OpenTelemetry
run(integrations=[OpenTelemetry()])
""",
    "sentry": """
from job_processor.integrations.sentry import Sentry
run(integrations=[Sentry()])
""",
    "prometheus": """
from prometheus_client import generate_latest
from job_processor.integrations.prometheus import Prometheus
run(integrations=[Prometheus()])
assert b'job_processor_ended_total{name="greet",status="finished"} 1.0' in generate_latest()
""",
    "starlette": """
from starlette.applications import Starlette
from job_processor.integrations.starlette import lifespan
processor = made()
async def serve():
    async with lifespan(processor)(Starlette()):
        job = await processor.schedule_job("greet", {"name": "Ada"})
        assert await (await processor.wait_for_job(job.id, timeout=20)).result() == "Hello, Ada!"
""",
    "typed": """
from dataclasses import dataclass
@dataclass
class Person:
    name: str
def greet(payload: Person) -> str:
    return f"Hello, {payload.name}!"
run(greet)
""",
    "processes": """
run(executor="process")
""",
    "webhooks": """
from job_processor.integrations.webhooks import Webhooks, new_secret
Webhooks(["*"], new_secret())
""",
    "web": """
from job_processor.web import create_app
create_app(made())
""",
}
"""What each extra is for, in a few lines; the others are options of the command line."""

PREAMBLE = """
import asyncio
from job_processor import JobDef, JobProcessor
def greet(payload: dict) -> str:
    return f"Hello, {payload['name']}!"
def made(handler=greet, executor=None, **options):
    jobs = {"greet": JobDef(handler, executor=executor)}
    return JobProcessor("sqlite:///jobs.db", jobs=jobs, **options)
def run(*args, **options):
    async def go():
        async with made(*args, **options) as processor:
            job = await processor.schedule_job("greet", {"name": "Ada"})
            await processor.run_worker(burst=True)
            job = await processor.get_job(job.id)
            assert job.status == "finished", job
    if __name__ == "__main__":
        asyncio.run(go())
"""


@pytest.mark.parametrize("extra", [None, *extras()])
def test_it_installs_and_runs(tmp_path: Path, extra: str | None) -> None:
    """With no extra, and with each one alone, the starter project runs its job."""
    made = install(tmp_path, extra)
    made.run("init", ".")
    (package,) = (path.parent.name for path in made.folder.glob("*/app.py"))
    app = f"{package}.app:processor"
    assert "0 errors" in made.run("check", app)
    made.run("schedule", app, "greet", "--payload", '{"name": "Ada"}')
    assert "finished job 'greet'" in made.run("worker", app, "--burst")
    assert '"Hello, Ada!"' in made.run("jobs")
    if extra in PROGRAMS:
        _run_program(made, PROGRAMS[extra])
    if extra is None:
        _check_that_extras_are_named(made, app)
        _check_the_starter_project_as_a_package(made, app)
    elif extra == "prometheus":
        assert "worker stopped" in made.run("worker", app, "--burst", "--metrics-port", "0")
    elif extra == "uvloop":
        assert "worker stopped" in made.run("worker", app, "--burst", "--loop", "uvloop")
    elif extra == "web":
        _check_the_dashboard(made, app)
    elif extra == "reload":
        _check_reload(made, app)


def _run_program(made: Installed, program: str) -> None:
    (made.folder / "program.py").write_text(PREAMBLE + program)
    made.python("-W", "error::DeprecationWarning:job_processor", "program.py")


def _check_that_extras_are_named(made: Installed, app: str) -> None:
    """What needs an extra says so and leaves with 1, without a traceback."""
    for arguments, extra in (
        (("web", app), "web"),
        (("worker", app, "--reload"), "reload"),
        (("worker", app, "--metrics-port", "0"), "prometheus"),
        (("worker", app, "--metrics-port", "0", "--processes", "2"), "prometheus"),
        (("worker", app, "--loop", "uvloop"), "uvloop"),
    ):
        output = made.run(*arguments, code=1)
        assert f"pip install 'job-processor[{extra}]'" in output
        assert "Traceback" not in output
    for extra in ("django", "otel", "prometheus", "sentry", "starlette"):
        program = f"import job_processor.integrations.{extra}"
        assert f"pip install 'job-processor[{extra}]'" in made.python("-c", program, code=1)


def _check_the_starter_project_as_a_package(made: Installed, app: str) -> None:
    """What `init` wrote can be installed; its application is then found from any folder."""
    made.python("-m", "pip", "install", "--quiet", ".")
    elsewhere = made.folder.parent / "elsewhere"
    elsewhere.mkdir()
    assert "worker stopped" in Installed(made.environment, elsewhere).run("worker", app, "--burst")


def _check_the_dashboard(made: Installed, app: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with made.running("web", app, "--port", str(port)) as process:
        page = _fetched(f"http://127.0.0.1:{port}/", process)
        assert "<html" in page
        assert "greet" in _fetched(f"http://127.0.0.1:{port}/api/status", process)


def _fetched(url: str, process: subprocess.Popen[str]) -> str:
    end = time.monotonic() + WAIT
    while True:
        try:
            with urllib.request.urlopen(url) as answer:  # noqa: S310  # our own server
                return str(answer.read().decode())
        except urllib.error.URLError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)


def _check_reload(made: Installed, app: str) -> None:
    """A change of a file stops the worker and starts another."""
    with made.running("worker", app, "--reload") as process:
        until(process, "worker started")
        (made.folder / "changed.py").touch()
        until(process, "changed.py changed: starting again")
        until(process, "worker started")


def test_the_environment_is_not_ours(tmp_path: Path) -> None:
    """What runs is the wheel, not this source tree."""
    made = install(tmp_path, None)
    place = made.python("-c", "import job_processor; print(job_processor.__file__)")
    assert place.startswith(str(made.environment))
    assert Path(sys.prefix) not in Path(place.strip()).parents
