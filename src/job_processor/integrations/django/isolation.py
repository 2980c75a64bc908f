"""A database of jobs of its own for each process in which the project's tests run.

Django gives tests a database of their own and leaves the settings as they are, so jobs would go to
the real one. That tests run is known by what every runner does (`manage.py test`, each of its
parallel processes, pytest with pytest-django): it calls `setup_test_environment()`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from django.core import mail

from job_processor.integrations.django.conf import given_test_database
from job_processor.settings import file_address

_VARIABLE = "JOB_PROCESSOR_DJANGO_TEST_DB"
"""Tells the processes that a test starts where its jobs are: the test's process and the address."""

_PREFIX = "job-processor-tests-"
_folders: dict[int, Path] = {}
"""By process id: after a fork the child makes one of its own."""


def test_database() -> str | None:
    """Return the address of this process's database of jobs; None where no tests run.

    A process that a test has started (of a handler, of a worker) uses that of the test.
    """
    owner, _, address = os.environ.get(_VARIABLE, "").partition(" ")
    if not hasattr(mail, "outbox"):  # setup_test_environment() puts it there
        if owner == str(os.getpid()):
            _tell_nobody()  # the tests are over
            return None
        return address or None
    given = given_test_database()
    if given is not None:
        return given
    folder = _folders.get(os.getpid())
    if folder is None:
        _remove_left_ones()
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        _folders[os.getpid()] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = file_address(folder / "jobs.sqlite3")
    os.environ[_VARIABLE] = f"{os.getpid()} {address}"
    return address


def forget() -> None:
    """Let the next use of the tests' database begin with an empty one."""
    _tell_nobody()
    folder = _folders.pop(os.getpid(), None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _tell_nobody() -> None:
    """Let processes that are started from now on know nothing of a database of our tests."""
    if os.environ.get(_VARIABLE, "").startswith(f"{os.getpid()} "):
        del os.environ[_VARIABLE]


def _remove_left_ones() -> None:
    """Remove what processes left that were ended, as those of `test --parallel` are."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
