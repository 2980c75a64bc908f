"""The workflows: they call what is there, and a tag that is no version is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_that_moves_is_run(workflow: Path) -> None:
    """Actions are pinned by commit, with the version beside it; no tool is whatever is newest."""
    text = workflow.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", each), each
    assert not re.search(r"\b(pipx|npx|curl|wget|pip install)\b", text)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_least_permissions(workflow: Path) -> None:
    """A workflow may read; a job that needs more says so, and a checkout keeps no key."""
    parsed = yaml.safe_load(workflow.read_text())
    assert parsed["permissions"] == {"contents": "read"}
    more = {"publish": {"id-token": "write"}, "announce": {"contents": "write"}}
    for name, job in parsed["jobs"].items():
        assert job.get("permissions", {}) == more.get(name, {})
        checkouts = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)
        if "id-token" in job.get("permissions", {}):  # nothing of ours runs where it may publish
            assert not checkouts
            assert all("run" not in step for step in job["steps"])


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
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    assert _left_with("The tag is the version", tmp_path, GITHUB_REF_NAME=tag) == code


@pytest.mark.parametrize(
    ("repository", "code"),
    [("owner/job-processor", 0), ("owner/job", 1), ("other/job-processor", 1)],
)
def test_the_address_is_that_of_the_repository(tmp_path: Path, repository: str, code: int) -> None:
    """A release is refused while the package says that it lives elsewhere, or nowhere yet."""
    variables = {"GITHUB_SERVER_URL": "https://host.example", "GITHUB_REPOSITORY": repository}
    step = "The address is that of this repository"
    text = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text)
    assert _left_with(step, tmp_path, **variables) == 1
    address = project()["urls"]["Source"]
    told = text.replace(address, "https://host.example/owner/job-processor")
    (tmp_path / "pyproject.toml").write_text(told)
    assert _left_with(step, tmp_path, **variables) == code


def test_what_is_published_is_checked_as_an_index_does() -> None:
    """Whoever builds the archives, by hand, in CI or for a release, checks them strictly."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^package: .*\n(?:\t.*\n)+", makefile, re.MULTILINE)
    assert recipe is not None
    assert recipe[0].index("-m build") < recipe[0].index("twine check --strict dist/*")
    assert re.search(r"^make .*\bpackage\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    for workflow in WORKFLOWS:
        assert re.search(r"run: make package(-test)? ", workflow.read_text()), workflow.name


def _left_with(name: str, folder: Path, **variables: str) -> int:
    """Run a step of the release in a folder; return its exit code, which an error explains."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    step = re.search(rf"- name: {name}\n +run: \|\n((?: {{10}}.*\n)+)", text)
    assert step is not None
    done = subprocess.run(
        ["bash", "-e", "-c", textwrap.dedent(step[1])],
        cwd=folder,
        env={**variables, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("::error::" in done.stdout) == bool(done.returncode), done.stdout + done.stderr
    return done.returncode


def test_the_image_of_the_example_is_built_with_this_package() -> None:
    """The script of CI finds the line of the Dockerfile that it replaces by the wheel."""
    script = (ROOT / ".ci" / "image").read_text()
    replace = re.search(r"^sed (?P<quoted>'.*') examples/Dockerfile", script, re.MULTILINE)
    assert replace is not None
    done = subprocess.run(
        ["bash", "-c", f"sed {replace['quoted']} examples/Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "COPY *.whl /tmp/\nRUN pip install --no-cache-dir /tmp/*.whl\n" in done.stdout
