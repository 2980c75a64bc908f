"""The workflows: they call what is there, and a tag that is no version is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.packaging.project import ROOT, project

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = project()["version"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_targets_exist(workflow: Path) -> None:
    """Each target of make that a workflow calls is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = [
        word
        for line in re.findall(r"run: make (.*)", workflow.read_text())
        for word in line.split()
        if "=" not in word
    ]
    assert called
    assert set(called) <= targets


@pytest.mark.parametrize(
    ("tag", "changelog", "code"),
    [
        (f"v{VERSION}", f"## [{VERSION}] - 2030-01-31\n", 0),
        ("v9.9.9", f"## [{VERSION}] - 2030-01-31\n", 1),
        (VERSION, f"## [{VERSION}] - 2030-01-31\n", 1),
        (f"v{VERSION}", "## [Unreleased]\n", 1),
    ],
)
def test_the_tag_is_the_version(tmp_path: Path, tag: str, changelog: str, code: int) -> None:
    """The step of the release compares the tag with pyproject.toml, and wants a changelog."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    step = re.search(r"- name: The tag is the version\n +run: \|\n((?: {10}.*\n)+)", text)
    assert step is not None
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    done = subprocess.run(
        ["bash", "-e", "-c", textwrap.dedent(step[1])],
        cwd=tmp_path,
        env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("::error::" in done.stdout) == bool(code)
