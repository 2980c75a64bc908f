"""The tutorial can be followed, in an empty folder, and prints what it shows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.docs.markdown import blocks
from tests.docs.tutorial import Reader

PAGE = "docs/tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(300)  # a dozen programs are started, one after the other
def test_the_tutorial_does_what_it_says() -> None:
    """Each file is written, each command run, and each prints what the page shows."""
    # A short path, as readers have it: with that of `tmp_path`, lines are too long and break.
    with TemporaryDirectory() as folder, Reader(Path(folder)) as reader:
        for block, following in pairwise([*blocks(PAGE), None]):
            assert block is not None
            shown = following if following and following.marker == "prints" else None
            reader.follow(block, shown)


def test_every_command_of_the_tutorial_is_run() -> None:
    """Only the installation, which needs a network, is left out."""
    left_out = [block.text for block in blocks(PAGE, "console") if not block.marker]
    assert all("pip install" in text for text in left_out)
    assert len(left_out) == 1
