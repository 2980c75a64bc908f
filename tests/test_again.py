"""What `make test-again` lets pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import again


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of the last run."""
    monkeypatch.chdir(tmp_path)
    again.LAST_FAILED.parent.mkdir(parents=True)
    return again.LAST_FAILED


def test_a_few_are_run_again_by_name(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody overlooks which they were."""
    failed.write_text(json.dumps({f"tests/test_{n}.py::test": True for n in range(again.MOST)}))
    assert again.main() == 0
    assert capsys.readouterr().out.count("  tests/test_") == again.MOST


def test_many_are_not(failed: Path) -> None:
    """They are no accident."""
    failed.write_text(json.dumps({str(n): True for n in range(again.MOST + 1)}))
    assert again.main() == 1


@pytest.mark.usefixtures("failed")
def test_a_run_that_broke_off_is_none() -> None:
    """Without a list no test has failed, and something else has."""
    assert again.main() == 1
