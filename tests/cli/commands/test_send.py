"""`send`: a message, to the jobs that wait for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from job_processor import Context, JobDef, JobProcessor
from tests.cli.conftest import Cli


async def order(context: Context) -> Any:
    """Wait for a payment."""
    return await context.receive("paid:42", timeout=3600)


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which a job waits for a message."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        async with JobProcessor(jobs={"order": JobDef(order)}) as processor:
            await processor.schedule_job("order")
            await processor.run_worker(burst=True)

    asyncio.run(fill())
    return db_url


async def result() -> Any:
    """Run what is due, and return what the job returned."""
    async with JobProcessor(jobs={"order": JobDef(order)}) as processor:
        await processor.run_worker(burst=True)
        page = await processor.find_jobs()
        return page.jobs[0].result()


def test_a_message_is_sent_to_who_waits(cli: Cli, db: str) -> None:
    """The second of a name is told that the first one won; what was done stands in the audit."""
    text = cli("send", "paid:42", '{"by": "card"}', "--ttl", "2h").text
    assert "Sent the message 'paid:42'" in text
    second = cli("send", "paid:42")
    assert (second.code, "the first one wins" in second.out) == (1, True)
    second = cli("send", "paid:42", "--json")
    assert (second.code, json.loads(second.out)) == (1, {"name": "paid:42", "sent": False})
    assert asyncio.run(result()) == {"by": "card"}

    async def audit() -> list[tuple[str, str]]:
        async with JobProcessor() as processor:
            return [(entry.action, entry.subject) for entry in await processor.get_audit()]

    assert ("send", "paid:42") in asyncio.run(audit())


def test_without_a_payload_it_is_true(cli: Cli, db: str) -> None:
    """So that who waits can tell it from nothing."""
    cli("send", "paid:42")
    assert asyncio.run(result()) is True


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["", "1"], "NAME: '' is not allowed; allowed is a str of 1 to 200 characters"),
        (["x" * 201], "allowed is a str of 1 to 200 characters"),
        (["a", "{"], "PAYLOAD: <a str> is not allowed; allowed is JSON such as"),
        (["a", "null"], "PAYLOAD: null is what a wait that times out returns"),
        (["a", "1", "--ttl", "soon"], "--ttl: 'soon' is not allowed"),
    ],
)
def test_what_cannot_be_sent(cli: Cli, db: str, arguments: list[str], told: str) -> None:
    """It is told in a line, with what is allowed."""
    cli("send", *arguments).refused(told)


def test_who_waits_says_so(cli: Cli, db: str) -> None:
    """`jobs show` has for what and until when, and the wait among the steps; JSON, too."""
    (job,) = cli("jobs", "--json").json["jobs"]
    text = cli("jobs", "show", job["_id"]).text
    assert "the message paid:42 until" in text
    assert "waits until" in text
    shown = cli("jobs", "show", job["_id"], "--json").json
    assert shown["waits_for"].startswith("the message paid:42 until")
    (step,) = shown["steps"]
    assert (step["topic"], step["ended_at"], step["duration_ms"]) == ("paid:42", None, None)
