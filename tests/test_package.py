"""The package itself: its names come when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_process_that_only_schedules_loads_no_worker() -> None:
    """It loads at most 80 modules of ours: none that runs jobs, plans crons or knows Node."""
    loaded = _loaded(
        "import asyncio\n"
        "from job_processor import JobDef, JobProcessor\n"
        "async def main():\n"
        "    async with JobProcessor('sqlite://', jobs={'a': JobDef(None)}) as processor:\n"
        "        await processor.schedule_job('a')\n"
        "asyncio.run(main())"
    )
    ours = {name for name in loaded if name.split(".")[0] == "job_processor"}
    assert "job_processor.jobs.intake" in ours
    assert not {name for name in ours if name.split(".")[1:2] in (["worker"], ["node"])}
    assert not {"job_processor.crons.scheduler", "job_processor.ops.status"} & ours
    assert len(ours) <= 80, sorted(ours)


def test_the_front_door_is_small() -> None:
    """The package has at most 18 files and 11 folders at its top.

    Not counted is what every package has: `__init__.py`, `__main__.py` and `py.typed`.
    """
    top = list(Path(job_processor.__file__).parent.iterdir())
    files = {each.name for each in top if each.is_file()} - {
        "__init__.py",
        "__main__.py",
        "py.typed",
    }
    folders = {each.name for each in top if each.is_dir() and (each / "__init__.py").exists()}
    assert len(files) <= 18, sorted(files)
    assert len(folders) <= 11, sorted(folders)


def _loaded(program: str) -> set[str]:
    """Return the modules that are loaded after a program, run by an interpreter of its own."""
    program += "\nimport sys; print('\\nloaded', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])
