"""The archives that a release publishes: what is in them, and what they say of themselves."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.project import ROOT, extras, project


@pytest.mark.slow
def test_the_archives_are_complete(tmp_path: Path) -> None:
    """Built from the source archive, the wheel has every source file and nothing else."""
    source, wheel = _built(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = Parser().parsestr(archive.read(_in_info(archive, "METADATA")).decode())
        entries = archive.read(_in_info(archive, "entry_points.txt")).decode()
        assert archive.read(_in_info(archive, "licenses/LICENSE"))
    assert packed == _sources()
    assert "job-processor = job_processor.cli:main" in entries
    assert "job-processor = job_processor.pytest_plugin" in entries
    _check_metadata(metadata)
    _check_as_an_index_does(source, wheel)
    with tarfile.open(source) as archive_of_all:
        names = {name.partition("/")[2] for name in archive_of_all.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "tests/conftest.py", "docs/public-api.txt"} <= names
    assert [name for name in names if name.endswith((".db", ".pyc")) or ".venv" in name] == []


def _built(folder: Path) -> tuple[Path, Path]:
    """Return the source archive and the wheel, built as a release builds them."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


def _sources() -> set[str]:
    """Return what the package consists of, by its place in the wheel."""
    folder = ROOT / "src"
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def _check_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "job-processor"
    assert metadata["Version"] == project()["version"]
    assert metadata["License-Expression"] == "MIT"
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))
    assert urls == project()["urls"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", [])) == set(extras())
    needed = metadata.get_all("Requires-Dist", [])
    unconditional = {each.partition(">")[0] for each in needed if "extra ==" not in each}
    assert unconditional == {"cronsim", "pymongo", "rich", "typer", "tzdata"}


def _check_as_an_index_does(*archives: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _in_info(archive: zipfile.ZipFile, name: str) -> str:
    (found,) = (each for each in archive.namelist() if each.endswith(f".dist-info/{name}"))
    return found
