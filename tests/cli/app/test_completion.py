"""Completion of a shell: commands, options, and the values of some."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("job-processor jobs --status e", {"errored"}),
        pytest.param(
            "job-processor jobs delete --status ",
            {"errored", "pending", "skipped", "killed"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "job-processor worker app:p --log-format ",
            {"console", "json"},
            marks=pytest.mark.slow,
        ),
        pytest.param("job-processor mig", {"migrate-from-node"}, marks=pytest.mark.slow),
    ],
)
def test_bash_is_offered(shell: Shell, words: str, offered: set[str]) -> None:
    """What Bash asks for is answered by the program itself."""
    done = shell(
        "$job_processor",
        _JOB_PROCESSOR_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert offered <= set(done.stdout.split()), done.stderr


def test_the_script_is_shown(shell: Shell) -> None:
    """`--show-completion` prints what a shell is to read."""
    done = shell("bash -c '$job_processor --show-completion; true'")
    assert "_JOB_PROCESSOR_COMPLETE=complete_bash" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("zsh", {}),
        ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_other_shells_are_offered_the_same(
    shell: Shell, name: str, variables: dict[str, str]
) -> None:
    """Their scripts are printed on request, and what they ask for is answered."""
    script = shell("$job_processor", _JOB_PROCESSOR_COMPLETE=f"source_{name}").stdout
    assert f"_JOB_PROCESSOR_COMPLETE=complete_{name}" in script
    variables |= {"_JOB_PROCESSOR_COMPLETE": f"complete_{name}"}
    variables |= {"_TYPER_COMPLETE_ARGS": "job-processor jobs --status e"}
    done = shell("$job_processor", **variables)
    assert "errored" in done.stdout, done.stderr
