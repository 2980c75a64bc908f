"""The package itself: its names come when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import job_processor


@pytest.mark.parametrize("name", job_processor.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """It comes from the module that its type says, and is listed."""
    assert getattr(job_processor, name) is not None
    assert name in dir(job_processor)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'job_processor' has no attribute 'Nothing'"):
        getattr(job_processor, "Nothing")  # noqa: B009  # what mypy would refuse


def test_the_import_and_the_help_load_no_engine() -> None:
    """Neither asyncio nor the parts that need it, so both are quick."""
    loaded = _loaded("import job_processor") | _loaded(
        "import sys; sys.argv = ['job-processor', '--help']\n"
        "from job_processor.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )
    assert "job_processor.cli.app.main" in loaded
    assert not loaded & {"asyncio", "bson", "rich", "job_processor.processor"}


def _loaded(program: str) -> set[str]:
    """Return the modules that are loaded after a program, run by an interpreter of its own."""
    program += "\nimport sys; print('\\nloaded', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])
