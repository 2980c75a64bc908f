"""The files are for their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from job_processor import JobProcessor, StoreError


@pytest.fixture(params=[0o022, 0o000, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the process lets others read."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Return who may do what with each file of a folder."""
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.usefixtures("_umask")
async def test_files_are_private(tmp_path: Path) -> None:
    """The database and the logs beside it, whatever the umask; payloads stand in all of them."""
    folder = tmp_path / "jobs"
    folder.mkdir(mode=0o755)
    async with JobProcessor(f"sqlite:///{folder}/jobs.db") as processor:
        await processor.pause("a")
        found = modes(folder)
        assert {"jobs.db", "jobs.db-wal", "jobs.db-shm"} <= set(found)
        assert set(found.values()) == {0o600}
    assert set(modes(folder).values()) == {0o600}


async def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Who shares a file with a group on purpose keeps sharing it, its logs too."""
    path = tmp_path / "jobs.db"
    path.touch(mode=0o660)
    path.chmod(0o660)
    async with JobProcessor(f"sqlite:///{path}") as processor:
        await processor.pause("a")
        assert set(modes(tmp_path).values()) == {0o660}


async def test_a_link_to_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The file that it leads to is made, and is private."""
    target = tmp_path / "data" / "jobs.db"
    target.parent.mkdir()
    link = tmp_path / "jobs.db"
    link.symlink_to(target)
    async with JobProcessor(f"sqlite:///{link}"):
        assert set(modes(target.parent).values()) == {0o600}


async def test_two_processors_of_one_process(tmp_path: Path) -> None:
    """The second setup does not take the first one's locks: the file is not opened to look at."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with JobProcessor(url) as first, JobProcessor(url) as second:
        await first.pause("a")
        await second.pause("b")
        assert (await first.get_pauses()).names == {"a", "b"}


async def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Is told as before, and leaves nothing behind."""
    with pytest.raises(StoreError):
        async with JobProcessor(f"sqlite:///{tmp_path}/missing/jobs.db"):
            pass
    assert list(tmp_path.iterdir()) == []
