"""What pyproject.toml says about the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]


def project() -> dict[str, Any]:
    """Return the table `project`."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def extras() -> dict[str, set[str]]:
    """Return the names of the distributions that each extra asks for."""
    return {
        extra: {_name(each) for each in required}
        for extra, required in project()["optional-dependencies"].items()
    }


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None, requirement
    return found[0]
