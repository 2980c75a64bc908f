"""The Docker example agrees with the page on workers and with the defaults."""

from __future__ import annotations

import inspect
import re

from job_processor import JobProcessor
from tests.docs.markdown import blocks, read
from tests.examples.programs import EXAMPLES


def test_the_page_on_workers_shows_the_compose_file() -> None:
    """It shows the services of the workers as they stand in compose.yaml."""
    (shown,) = blocks("docs/workers.md", "yaml")
    assert shown.text in (EXAMPLES / "compose.yaml").read_text(encoding="utf-8")


def test_grace_period_is_longer_than_ours() -> None:
    """Docker waits longer than a worker with the defaults needs to stop."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(JobProcessor).parameters.items()
    }
    needed = defaults["shutdown_grace"] + 2 * defaults["kill_grace"] + 15
    compose = (EXAMPLES / "compose.yaml").read_text(encoding="utf-8")
    (seconds,) = re.findall(r"stop_grace_period: (\d+)s", compose)
    assert int(seconds) > needed
    assert f"+ 15 seconds, {needed:g} by default" in read("docs/workers.md")


def test_image_has_what_the_command_names() -> None:
    """The image holds the module that its command runs."""
    dockerfile = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
    (module,) = re.findall(r'"worker", "(\w+):processor"', dockerfile)
    assert f"COPY {module}.py ." in dockerfile
    assert (EXAMPLES / f"{module}.py").exists()
