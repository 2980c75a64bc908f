"""`manage.py job_processor …` is the command line, on the project's processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core import checks, mail
from django.core.management import call_command
from django.test import override_settings
from django.test.runner import DiscoverRunner

from job_processor import JobStatus
from job_processor.cli.supervise import stopping
from job_processor.integrations.django import isolation
from job_processor.integrations.django.checks import check_database
from job_processor.jobs.chunks import Request
from tests.examples.programs import TIMEOUT, environment
from tests.integrations.django.conftest import PROJECT, Shop
from tests.processors import WAIT


@pytest.mark.slow
def test_a_worker_as_a_process(shop: Shop) -> None:
    """Plain, async and in processes, handlers use the ORM; it leaves with 0.

    A log line of a handler's process is that of its job.
    """
    order = shop.orders.create(customer="Ada")
    names: list[Request] = [
        ("confirm", {"order": order.pk}),
        ("count", {"confirmed": False}),
        "report",
    ]
    jobs = shop.client.schedule_jobs(names)

    command = ["manage.py", "job_processor", "worker", "--burst", "--log-format", "json"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=environment(SHOP_DATA=str(shop.data)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [shop.client.get_job(job.id) for job in jobs]
    assert [job.status for job in found if job] == [JobStatus.FINISHED] * 3, (found, done.stderr)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = [line for line in lines if line["message"] == "counting what is confirmed"]
    assert len(told) == 1, done.stderr
    assert (told[0]["job_id"], told[0]["job_name"]) == (str(jobs[2].id), "report")
    assert shop.orders.get().confirmed


@pytest.mark.usefixtures("shop")
def test_the_tests_of_the_project() -> None:
    """They pass, by Django's own runner: what the page says of testing holds."""
    suite = DiscoverRunner(verbosity=0, interactive=False)
    assert suite.build_suite(["shop.tests"]).countTestCases() == 2
    assert suite.run_tests(["shop.tests"]) == 0


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("end", [isolation.forget, isolation.test_database])
def test_once_tests_are_over_no_process_is_told_of_their_jobs(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]
) -> None:
    """A worker that is started afterwards works on the database of the site."""
    monkeypatch.setattr(mail, "outbox", [], raising=False)  # as setup_test_environment() does
    address = isolation.test_database()
    assert os.environ["JOB_PROCESSOR_DJANGO_TEST_DB"] == f"{os.getpid()} {address}"
    monkeypatch.delattr(mail, "outbox")
    end()
    assert "JOB_PROCESSOR_DJANGO_TEST_DB" not in os.environ
    isolation.forget()


def test_a_worker_leaves_the_program_that_called_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends no process that goes on, such as that of tests, for a thread that lives in it."""
    left: list[int] = []
    monkeypatch.setattr(stopping, "_leave_hard", left.append)
    shop.client.schedule_job("count", {"confirmed": True})
    free = threading.Event()
    living = threading.Thread(target=free.wait, args=(WAIT,))
    living.start()
    try:
        call_command("job_processor", "worker", "--burst")
    finally:
        free.set()
        living.join()
    assert left == []
    assert [job.status for job in shop.jobs("count")] == [JobStatus.FINISHED]


def test_commands_know_the_project(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """APP, database and prefix are those of the settings; none at all lists them; bad input: 2."""
    call_command("job_processor", "schedule", "confirm", "--payload", '{"order": 1}')
    assert len(shop.jobs("confirm")) == 1
    call_command("job_processor", "jobs")
    assert "confirm" in capsys.readouterr().out
    elsewhere = {"DB": shop.data / "jobs.sqlite3", "COLLECTION_PREFIX": "other"}
    with override_settings(JOB_PROCESSOR=elsewhere):
        call_command("job_processor", "jobs")
        assert "confirm" not in capsys.readouterr().out
    call_command("job_processor")
    assert "Usage: manage.py job_processor" in capsys.readouterr().out
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        call_command("job_processor", "kill", "nonsense")
    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("Error: ID: 'nonsense' is not allowed")


def test_the_check_of_the_database(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It warns where no worker is, and is an error where it cannot be reached; else it is quiet."""
    assert check_database() == []
    assert [message.id for message in check_database(["default"])] == ["job_processor.W001"]
    undo = shop.processor.override(db=f"sqlite:///{shop.data}/no/such/folder/jobs.db")
    try:
        assert [message.id for message in check_database(["default"])] == ["job_processor.E001"]
    finally:
        undo()


@pytest.mark.usefixtures("shop")
def test_only_a_deployment_is_checked() -> None:
    """`migrate` checks its database too, and must not depend on that of the jobs."""

    def names(deploy: bool) -> list[str]:
        found: list[Any] = checks.registry.registry.get_checks(include_deployment_checks=deploy)
        return [check.__name__ for check in found]

    assert check_database.__name__ in names(deploy=True)
    assert check_database.__name__ not in names(deploy=False)
