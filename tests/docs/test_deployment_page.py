"""What pages show supervisors is right: it parses, its commands exist, its times suffice."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from job_processor import JobProcessor
from job_processor.cli.app.main import app
from tests.docs.markdown import PAGES, blocks
from tests.docs.supervision import commands, documents, instructions, seconds, unit

PAGE = "docs/deployment.md"
WITH_FILES = [
    page
    for page in PAGES
    if any(block.language in {"yaml", "ini", "dockerfile"} for block in blocks(page))
]


@pytest.mark.parametrize("page", WITH_FILES)
def test_files_say_something(page: str) -> None:
    """Each YAML, INI and Dockerfile block parses, and is not empty."""
    for block in blocks(page):
        if block.language == "yaml":
            assert all(isinstance(each, dict) and each for each in documents(block)), block.where
        elif block.language == "ini":
            assert unit(block).sections(), block.where
        elif block.language == "dockerfile":
            assert json.loads(instructions(block)["CMD"][0]), block.where


@pytest.mark.parametrize("page", WITH_FILES)
def test_what_they_run_is_taken_by_the_program(page: str) -> None:
    """The command line itself reads every command that such a file has, and refuses none."""
    root = typer.main.get_command(app)
    for where, words in commands(page):
        with root.make_context("job-processor", list(words)) as context:
            name, command, rest = root.resolve_command(context, words)  # type: ignore[attr-defined]
            assert command.make_context(name, rest, parent=context).params, where


def test_the_page_has_all_of_them() -> None:
    """A worker and a dashboard for each supervisor, found by the test above."""
    run = [words[0] for _, words in commands(PAGE)]
    assert run.count("worker") == 3  # image, Kubernetes, systemd
    assert run.count("web") == 2  # Compose, Kubernetes


def test_supervisors_wait_longer_than_a_worker_needs() -> None:
    """Compose, Kubernetes and systemd give a worker with the defaults twice its time to stop."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(JobProcessor).parameters.items()
    }
    needed = defaults["shutdown_grace"] + 2 * defaults["kill_grace"]
    compose, kubernetes = map(documents, blocks(PAGE, "yaml"))
    (service,) = map(unit, blocks(PAGE, "ini"))
    given = [
        compose[0]["services"]["worker"]["stop_grace_period"],
        kubernetes[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
        service["Service"]["TimeoutStopSec"],
    ]
    assert all(seconds(each) >= 2 * needed for each in given)


def test_kubernetes_objects_fit_together() -> None:
    """Selectors find their pods, and probes and services name ports that containers have."""
    objects = documents(blocks(PAGE, "yaml")[1])
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    assert {each["kind"] for each in objects} == {"Deployment", "Service"}
    for deployment in deployments:
        assert _labels(deployment) == deployment["spec"]["selector"]["matchLabels"]
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            assert probes
            for probe in probes:
                asked = probe.get("httpGet") or probe["tcpSocket"]
                port = ports[asked["port"]]
                assert any(each in (port, f"0.0.0.0:{port}") for each in container["args"])
    for service in (each for each in objects if each["kind"] == "Service"):
        assert service["spec"]["selector"] in [_labels(each) for each in deployments]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about the unit, its program put in place."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    (block,) = blocks(PAGE, "ini")
    text = block.text.replace("/srv/shop/.venv/bin/job-processor", sys.executable)
    path = tmp_path / "shop-worker@1.service"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(path)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    about_it = [line for line in done.stdout.splitlines() if "shop-worker" in line]
    assert (about_it, done.returncode) == ([], 0), done.stdout


def _labels(deployment: Any) -> Any:
    return deployment["spec"]["template"]["metadata"]["labels"]
