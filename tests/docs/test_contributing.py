"""CONTRIBUTING.md says of the layout what the tools check."""

from __future__ import annotations

import tomllib

from tests.docs.markdown import ROOT, codes, section

PACKAGE = ROOT / "src" / "job_processor"
LONG = 450
"""Lines; "about 300" is a matter of judgement, this is not."""


def test_layers_are_those_of_the_contract() -> None:
    """The order of imports on the page is the one that `make imports` checks, line by line.

    No two rooms of a line may import each other, as `:` would allow.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each.get("containers") == ["job_processor"]]
    shown = section("CONTRIBUTING.md", "How the code is laid out").split("```text\n")[1]
    layers, _, _ = shown.partition("```")
    assert layers.strip().splitlines() == contract["layers"]
    assert ":" not in layers


def test_long_files_are_the_exceptions_that_it_names() -> None:
    """The files that are far longer than the rule says are those named beside it."""
    rules = section("CONTRIBUTING.md", "How the code is laid out")
    (rule,) = [each for each in rules.split("\n- ") if "About 300 lines" in each]
    long = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > LONG
    }
    assert long == set(codes(rule))
