"""docs/troubleshooting.md lists the questions that `check --job` answers."""

from __future__ import annotations

from job_processor.ops.diagnosis import QUESTIONS
from tests.docs.markdown import blocks, table

PAGE = "docs/troubleshooting.md"


def test_the_questions_are_those_of_check() -> None:
    """One list, in one order, with the same advice."""
    rows = table(PAGE, ("question", "what shows it", "if not"), "questions of check")
    assert rows == [[each.text, f"`{each.command}`", each.advice] for each in QUESTIONS]


def test_the_command_line_page_shows_the_subjects_in_order() -> None:
    """The printed example of `check --job` on docs/cli.md has the subjects of the questions."""
    (shown,) = [block.text for block in blocks("docs/cli.md", "text") if "  stored  " in block.text]
    subjects = [line[9:].split("  ")[0] for line in shown.splitlines() if "→" not in line]
    assert subjects == [each.subject for each in QUESTIONS[: len(subjects)]]
    assert len(subjects) == 8
