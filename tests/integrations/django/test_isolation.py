"""While a project's tests run, its jobs are in a database of their process, never the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from job_processor import JobProcessor, JobStatus
from job_processor.settings import file_address
from tests.examples.programs import EXAMPLES, TIMEOUT, environment

pytestmark = pytest.mark.slow

TESTS = """
import json
from contextlib import redirect_stdout
from io import StringIO
from django.core.management import call_command
from django.test import TransactionTestCase
from job_processor.integrations.django import forget_jobs, get_client, schedule_on_commit
from shop.jobs import confirm
from shop.models import Order

class Case(TransactionTestCase):
    def setUp(self):
        forget_jobs()

    def check(self):
        order = Order.objects.create(customer="Ada")
        schedule_on_commit("confirm", {"order": order.pk})
        job = get_client().schedule_job("confirm", {"order": order.pk})
        same = confirm.schedule_sync(order=order.pk)
        call_command("job_processor", "worker", "--burst", "--concurrency", "1")
        assert get_client().get_job(job.id).status == "finished"
        assert get_client().get_job(same.id).status == "finished"
        out = StringIO()
        with redirect_stdout(out):
            call_command("job_processor", "jobs", "--name", "confirm", "--json")
        assert len(json.loads(out.getvalue())["jobs"]) == 3, out.getvalue()

class First(Case):
    def test_one(self): self.check()
    def test_two(self): self.check()

class Second(Case):
    def test_one(self): self.check()
    def test_two(self): self.check()
"""


@pytest.fixture
async def project(tmp_path: Path) -> Path:
    """A project with a real job that waits, and with tests that schedule and run some."""
    folder = tmp_path / "shop"
    shutil.copytree(EXAMPLES / "django_shop", folder)
    (folder / "shop" / "test_jobs.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = shop.settings\n")
    async with real(folder) as processor:
        await processor.schedule_job("confirm", {"order": 1})
    return folder


def real(folder: Path) -> JobProcessor:
    """Return a processor on the database of the site."""
    processor = JobProcessor(file_address(folder / "jobs.sqlite3"))

    @processor.job("confirm")
    def confirm() -> None: ...

    return processor


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "test", "shop", "--pattern", "test_jobs.py"],
        ["manage.py", "test", "shop", "--pattern", "test_jobs.py", "--parallel", "2"],
        ["-m", "pytest", "-q", "shop/test_jobs.py", "-p", "no:cacheprovider"],
        ["-m", "pytest", "-q", "shop/test_jobs.py", "-p", "no:cacheprovider", "-n", "2"],
    ],
    ids=["manage.py", "parallel", "pytest", "xdist"],
)
async def test_no_test_runs_a_real_job(project: Path, command: list[str]) -> None:
    """Nor leaves one behind, whatever runs the tests; and none takes those of another process."""
    done = subprocess.run(  # noqa: ASYNC221  # nothing else is to be done meanwhile
        [sys.executable, *command],
        cwd=project,
        env=environment(SHOP_DATA=str(project)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout or "Ran 4 tests" in done.stderr
    async with real(project) as processor:
        (job,) = (await processor.find_jobs()).jobs
        assert job.status is JobStatus.PENDING
