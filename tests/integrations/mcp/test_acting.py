"""What an assistant may do where that is allowed, and that it is kept who did it."""

from __future__ import annotations

import pytest

from job_processor import JobProcessor
from tests.integrations.mcp.assistant import ACTING, LOOKING, SECRET, assisting, filled
from tests.processors import Processors


async def noted(processor: JobProcessor) -> list[tuple[str, str, str, str | None]]:
    """Return who did what to what, and what came of it, the first first."""
    entries = reversed(await processor.get_audit())
    return [(each.who, each.action, each.subject, each.outcome) for each in entries]


async def test_actions_where_they_are_allowed(processors: Processors) -> None:
    """They are there beside what looks, and say whether they take something away."""
    processor = await filled(processors)
    async with assisting(processor, allow_actions=True) as assistant:
        tools = {tool.name: tool for tool in (await assistant.client.list_tools()).tools}
        assert tools.keys() == LOOKING | ACTING
        destroying = {
            name
            for name, tool in tools.items()
            if tool.annotations and tool.annotations.destructive_hint
        }
        assert destroying == {"kill_job", "delete_job"}
        assert not any(
            tool.annotations.read_only_hint
            for name, tool in tools.items()
            if name in ACTING and tool.annotations
        )


async def test_each_is_done_and_noted(processors: Processors) -> None:
    """Retry, kill, delete, pause, resume: done as by anybody else, and in the audit."""
    processor = await filled(processors)
    (failed,) = (await processor.find_jobs("refuse")).jobs
    job_id = str(failed.id)
    async with assisting(processor, allow_actions=True, who="ada@host by mcp") as assistant:
        retried = await assistant.ask("retry_job", job_id=job_id)
        assert retried["job"]["status"] == "pending"
        assert SECRET not in str(retried)
        assert (await assistant.ask("kill_job", job_id=job_id))["job"]["status"] == "killed"
        assert await assistant.ask("delete_job", job_id=job_id) == {"deleted": job_id}
        assert await assistant.ask("pause", name="greet") == {"paused": "greet"}
        assert (await processor.get_pauses()).names == {"greet", "nightly"}
        assert await assistant.ask("pause", tag="mail") == {"paused": "tag mail"}
        assert await assistant.ask("resume", name="greet") == {"resumed": "greet"}
        assert await assistant.ask("resume", tag="mail") == {"resumed": "tag mail"}
        assert await processor.get_job(job_id) is None
        assert (await processor.get_pauses()).names == {"nightly"}
        entries = (await assistant.ask("list_audit"))["entries"]
    actions = ["retry", "kill", "delete"]
    assert await noted(processor) == [
        *(("ada@host by mcp", action, job_id, "done") for action in actions),
        *(
            ("ada@host by mcp", action, subject, "done")
            for action in ("pause", "resume")
            for subject in ("greet", "tag mail")
        ),
    ]
    assert [each["action"] for each in reversed(entries)][:3] == actions


async def test_what_is_refused_is_noted_too(processors: Processors) -> None:
    """A job that waits cannot be retried: that is told, and kept."""
    processor = await filled(processors)
    waiting = await processor.schedule_job("greet", {"name": "Ada"})
    async with assisting(processor, allow_actions=True, who="ada") as assistant:
        told = await assistant.refused("retry_job", job_id=str(waiting.id))
        assert "pending" in told
    assert await noted(processor) == [
        ("ada", "retry", str(waiting.id), "refused: JobStateError"),
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": "gret"}, "did you mean 'greet'?"),
        ({"tag": "mial"}, "did you mean 'mail'?"),
        ({}, "name"),
        ({"name": "greet", "tag": "mail"}, "tag"),
    ],
)
async def test_a_pause_of_nothing(
    processors: Processors, arguments: dict[str, str], told: str
) -> None:
    """What nobody has is not paused: somebody would believe that it stands still."""
    processor = await filled(processors)
    async with assisting(processor, allow_actions=True) as assistant:
        assert told in await assistant.refused("pause", **arguments)
    assert (await processor.get_pauses()).names == {"nightly"}
