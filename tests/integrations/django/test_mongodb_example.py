"""`examples/django_mongo`: Django's own data and its tasks in one MongoDB database."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.examples.programs import EXAMPLES, TIMEOUT, environment

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

PROJECT = EXAMPLES / "django_mongo"
Run = Callable[..., str]

# Counting by the database is left out: the test server lacks a stage of its pipeline.
BROWSER = """
import json, sys
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from notes.models import Note
browser = Client(raise_request_exception=False)
told = {}
if sys.argv[1:]:
    told["answer"] = browser.get(f"/results/{sys.argv[1]}").json()
    call_command("job_processor", "jobs")
else:
    call_command("check")
    call_command("migrate", verbosity=0)
    call_command("makemigrations", check_changes=True, dry_run=True)
    told["answer"] = browser.post("/notes", {"text": "Buy milk, and bread"}).json()
    told["waits"] = browser.get(f"/results/{told['answer']['result']}").json()
    told["refused"] = browser.post("/notes", {"text": " "}).status_code
told["notes"] = sorted(Note.objects.values_list("text", "words"))
print(json.dumps(told))
"""


INSIDE = """
import json
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from django_mongodb_backend.transaction import atomic
from notes.tasks import count_words
call_command("migrate", verbosity=0)
jobs = connection.database["job_processor.jobs"]
told = {}
def seen(session=None):
    return [str(job["_id"]) for job in jobs.find({}, {"_id": 1}, session=session)]
def enqueue():
    with atomic():
        result = count_words.enqueue("nobody")
        assert connection.session is not None, connection.connection.admin.command("hello")
        assert seen(connection.session) == [result.id], (seen(connection.session), result.id)
        told["outside"] = seen()
        told["enqueued"] = result.enqueued_at is not None
        raise KeyError
try:
    enqueue()
except KeyError:
    told["rolled back"] = seen()
with atomic():
    result = count_words.enqueue("nobody")
    connection.run_on_commit = []  # a process that ends as soon as the commit is done
assert seen() == [result.id], (seen(), result.id)
told["check"] = [each.id for each in count_words.get_backend().check()]
print(json.dumps(told))
"""


@pytest.fixture
def run(mongo_server_url: str) -> Run:
    """Runs Python in the project, on a fresh database; returns what it printed."""
    variables = {
        "MONGODB_URI": mongo_server_url,
        "MONGODB_DATABASE": f"test_{secrets.token_hex(6)}",
        "DJANGO_SETTINGS_MODULE": "notes.settings",
    }

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


def test_a_task_follows_what_the_orm_has_written(run: Run) -> None:
    """It is there with the note that it is of, never for one that is rolled back, and is run."""
    told = _last(run("-c", BROWSER))
    assert told["refused"] == 500
    assert told["notes"] == [["Buy milk, and bread", 0]]
    assert told["waits"] == {"status": "READY", "words": None}
    run("manage.py", "job_processor", "worker", "--burst")
    printed = run("-c", BROWSER, told["answer"]["result"])
    assert _last(printed)["answer"] == {"status": "SUCCESSFUL", "words": 4}
    assert _last(printed)["notes"] == [["Buy milk, and bread", 4]]
    assert printed.count("notes.tasks.count_words") == 1


def test_a_task_is_part_of_the_transaction(run: Run) -> None:
    """It is stored by Django's own session: committed and rolled back with what the ORM writes."""
    assert _last(run("-c", INSIDE)) == {
        "outside": [],
        "enqueued": False,
        "rolled back": [],
        "check": [],
    }


def _last(printed: str) -> dict[str, Any]:
    """Return what the last line says."""
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return told
