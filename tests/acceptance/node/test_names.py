"""The pages for those who come from Node, compared with the type declarations of the package."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.node.peers import FOLDER
from tests.docs.markdown import ROOT

PAGES = ("docs/from-node.md", "docs/from-node.fr.md")

OPTIONS = ("JobDef", "CronDef", "JobProcessorOptions", "ScheduleJobParams", "AddJobSimpleParams")
"""Types whose fields a user writes; those of the components are props."""


@pytest.fixture
def declared(node_package: None) -> dict[str, set[str]]:
    """What the package declares: exports of its functions and components, and their options."""
    dist = FOLDER / "node_modules" / "job-processor" / "dist"
    texts = [(dist / f"{part}.d.ts").read_text(encoding="utf-8") for part in ("index", "react")]
    exports = [name for text in texts for name in _exports(text)]
    options = [name for text in texts for name in _options(text)]
    return {"exports": set(exports), "options": set(options)}


@pytest.mark.parametrize("page", PAGES)
def test_every_name_has_a_counterpart(page: str, declared: dict[str, set[str]]) -> None:
    """Each export and each option stands in the first column of a table of the page."""
    assert {"addJob", "IJob", "ProcessorStatusIndexComponent"} <= declared["exports"]
    assert {"workerTags", "onJobExited", "queued", "baseUrl"} <= declared["options"]
    cells = re.findall(r"^\| (.*?) \| ", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    code = re.findall(r"`([^`]+)`", " ".join(cells))
    told = set(re.findall(r"\w+", " ".join(code)))
    missing = (declared["exports"] | declared["options"]) - told
    assert missing == set()


def _exports(text: str) -> list[str]:
    (exported,) = re.findall(r"^export \{(.*)\};$", text, re.MULTILINE)
    return [name.strip().removeprefix("type ") for name in exported.split(",")]


def _options(text: str) -> list[str]:
    """Return the fields of the types of options."""
    flags = re.MULTILINE | re.DOTALL
    bodies = re.findall(r"^type (\w+)(?:<.*?>)? = ([^;]*?)\{\n(.*?)^\};", text, flags)
    wanted = [body for name, _, body in bodies if name in OPTIONS or name.endswith("Props")]
    return [field for body in wanted for field in re.findall(r"^ {4}(\w+)\??:", body, flags)]
