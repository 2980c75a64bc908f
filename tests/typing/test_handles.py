"""The files beside this one, checked by pyright, as a user's editor does.

mypy checks them with all of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED = sorted(Path(__file__).parent.glob("[a-z]*s.py"))


@pytest.mark.slow
def test_pyright(tmp_path: Path) -> None:
    """It sees what is right, and every mark of an error is needed."""
    config = {
        "include": [str(each) for each in CHECKED],
        "extraPaths": [str(ROOT / "src")],
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "-p", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "0 errors" in done.stdout
