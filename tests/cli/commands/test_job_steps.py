"""The steps of a job on the command line: shown with it, and done again when that is asked for."""

from __future__ import annotations

import asyncio

import pytest

from job_processor import Context, JobDef, JobProcessor
from tests.cli.conftest import Cli


async def order(password: str, context: Context) -> None:
    """Charge, sleep, fail."""
    await context.step("charge", lambda: {"receipt": 7, "of": password})
    await context.step("new token", lambda: "t0ps3cret")
    await context.step("much", lambda: "x" * 1000)
    await context.step(f"for {password}", lambda: "red \x1b[31m alert")
    await context.sleep("cool off", seconds=0)
    raise ValueError("no stock")


async def fill() -> str:
    """Run a job that fails after its steps; return its id."""
    async with JobProcessor(jobs={"order": JobDef(order)}) as processor:
        job = await processor.schedule_job("order", {"password": "hunter2"})
        await processor.run_worker(burst=True)
    return str(job.id)


@pytest.fixture
def job_id(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a job that failed after its steps."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)
    return asyncio.run(fill())


def test_steps_in_detail(cli: Cli, job_id: str) -> None:
    """One a row, results cut; nothing in them steers the terminal, or is what a payload hides."""
    text = cli("jobs", "show", job_id).text
    shown = [line.split()[1:] for line in text.partition("Steps\n")[2].splitlines()[:5]]
    assert [line[0] for line in shown] == ["charge", "new", "much", "for", "cool"]
    assert '{"receipt": 7, "of": "[redacted]"}' in text
    assert "until" in shown[4]
    assert "x" * 60 in text
    assert "x" * 200 not in text.replace("\n", "")
    for hidden in ("hunter2", "t0ps3cret", "\x1b[31m"):
        assert hidden not in text
    steps = cli("jobs", "show", job_id, "--json").json["steps"]
    assert [step["name"] for step in steps] == [
        *("charge", "new token", "much", "for [redacted]", "cool off")
    ]
    assert (steps[0]["result"]["receipt"], steps[1]["result"]) == (7, "[redacted]")
    assert ("until" in steps[0], "until" in steps[4]) == (False, True)
    assert "t0ps3cret" in cli("jobs", "show", job_id, "--reveal").text


def test_a_retry_goes_on_or_begins_anew(cli: Cli, job_id: str) -> None:
    """By itself after what is done; many are retried either way, and nothing else is."""
    assert len(cli("jobs", "retry", job_id, "--json").json["steps"]) == 5
    cli("jobs", "kill", job_id)
    assert "steps" not in cli("jobs", "retry", job_id, "--from-beginning", "--json").json
    cli("jobs", "kill", job_id)
    acted = cli("jobs", "retry", "--name", "order", "--from-beginning", "--yes", "--json").json
    assert acted == {"action": "retry", "done": 1, "left": 0}
    cli("jobs", "delete", job_id, "--from-beginning").refused("only `jobs retry`")
    assert "--from-beginning" not in cli("jobs", "kill", "--help").text


def test_a_retry_from_a_step(cli: Cli, job_id: str) -> None:
    """One job or many; where it has none of that name, those that it has are named."""
    shown = cli("jobs", "retry", job_id, "--from-step", "much", "--json").json
    assert [step["name"] for step in shown["steps"]] == ["charge", "new token"]
    cli("jobs", "kill", job_id)
    acted = cli("jobs", "retry", "--name", "order", "--from-step", "charge", "-y", "--json").json
    assert acted == {"action": "retry", "done": 1, "left": 0}
    cli("jobs", "kill", job_id)
    cli("jobs", "retry", job_id, "--from-step", "pay").refused("has done no step", code=2)
    both = ("--from-step", "charge", "--from-beginning")
    cli("jobs", "retry", job_id, *both).refused("only one of the two")
    cli("jobs", "kill", job_id, "--from-step", "charge").refused("only `jobs retry`")
