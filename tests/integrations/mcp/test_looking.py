"""What an assistant sees, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import JobProcessor
from job_processor.integrations.mcp.telling import LONGEST_TEXT, MOST_ITEMS
from job_processor.redaction import Redaction
from tests.integrations.mcp.assistant import ACTING, LOOKING, SECRET, assisting, filled
from tests.processors import Processors


async def test_it_only_looks(processors: Processors) -> None:
    """By itself there is no tool that changes anything, and each says that it does not."""
    processor = await filled(processors)
    async with assisting(processor) as assistant:
        tools = (await assistant.client.list_tools()).tools
        assert {tool.name for tool in tools} == LOOKING
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description and "  " not in tool.description for tool in tools)
        for tool in ACTING:
            assert "Unknown tool" in await assistant.refused(tool)
        assert "without --allow-actions" in (assistant.client.instructions or "")
    assert await processor.get_audit() == []


async def test_each_tool_shows_its_part(processors: Processors) -> None:
    """Status, jobs, names, workers, crons, schedules, pauses, limits, rates, groups, flows."""
    processor = await filled(processors)
    async with assisting(processor) as assistant:
        ask = assistant.ask
        status = await ask("status")
        assert {each["name"]: each["counts"] for each in status["jobs"]}["greet"] == {"finished": 4}
        (failed,) = (await ask("find_jobs", status="errored"))["jobs"]
        assert (failed["name"], failed["payload"]["user"]) == ("refuse", "ada")
        shown = (await ask("get_job", job_id=failed["_id"]))["job"]
        assert "Traceback" in str(shown) or "line" in str(shown)
        assert (await ask("count_jobs", name="greet")) == {"count": 4, "is_exact": True}
        assert (await ask("count_jobs", tag="mail"))["count"] == 4
        names = {each["name"]: each for each in (await ask("list_names"))["names"]}
        assert names["greet"]["tag"] == "mail"
        assert (await ask("list_workers"))["workers"] == []
        (cron,) = (await ask("list_crons"))["crons"]
        assert (cron["name"], len(cron["upcoming"]) > 0) == ("nightly", True)
        (schedule,) = (await ask("list_schedules"))["schedules"]
        assert schedule["name"] == "digest:42"
        assert (await ask("list_pauses"))["names"] == ["nightly"]
        (limit,) = (await ask("list_limits"))["limits"]
        assert limit["name"] == "greet"
        (rate,) = (await ask("list_rates"))["rates"]
        assert rate["name"] == "greet"
        (group,) = (await ask("list_groups"))["groups"]
        assert (await ask("get_group", group_id=group["_id"]))["group"] == group
        assert (await ask("find_jobs", group=group["_id"], limit=1))["next"] is not None
        (flow,) = (await ask("list_flows"))["flows"]
        assert (flow["name"], flow["status"]) == ("import", "finished")
        assert len((await ask("get_flow", flow_id=flow["_id"]))["flow"]["levels"]) == 1
        assert (await ask("count_jobs", label="tenant:42"))["count"] == 1


async def test_without_the_application(processors: Processors) -> None:
    """A server that has no definitions knows the names and tags that programs have listed."""
    processor = await filled(processors)
    observer = await processors.open(processor.observer())
    alone = await processors.make()
    for each in (observer, alone):
        async with assisting(each, allow_actions=True) as assistant:
            assert (await assistant.ask("count_jobs", tag="mail"))["count"] == 4
            assert await assistant.ask("pause", name="greet") == {"paused": "greet"}
            names = {one["name"] for one in (await assistant.ask("list_names"))["names"]}
            assert {"greet", "refuse"} <= names


async def test_pages_of_jobs(processors: Processors) -> None:
    """`next` leads to the page that follows, and filters of time are those of ISO 8601."""
    processor = await filled(processors)
    async with assisting(processor) as assistant:
        first = await assistant.ask("find_jobs", name="greet", limit=3)
        rest = await assistant.ask("find_jobs", name="greet", limit=3, after=first["next"])
        assert (len(first["jobs"]), len(rest["jobs"]), rest["next"]) == (3, 1, None)
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert (await assistant.ask("count_jobs", name="greet", created_from=soon))["count"] == 0


async def every_answer(processor: JobProcessor, **options: Any) -> str:
    """Return what all tools tell, in one text."""
    (failed,) = (await processor.find_jobs("refuse")).jobs
    groups = await processor.find_groups()
    (member,) = [each for each in (await processor.find_jobs("greet")).jobs if each.flow]
    needed = {
        "get_job": {"job_id": str(failed.id)},
        "get_group": {"group_id": str(groups[0].id)},
        "get_flow": {"flow_id": str(member.flow)},
    }
    async with assisting(processor, **options) as assistant:
        answers = [await assistant.ask(tool, **needed.get(tool, {})) for tool in sorted(LOOKING)]
    return str(answers)


async def test_no_secret_is_told(processors: Processors) -> None:
    """No tool tells a value that is hidden, in a payload or where an error repeats it."""
    processor = await filled(processors)
    told = await every_answer(processor)
    assert "[redacted]" in told
    assert SECRET not in told
    assert SECRET in await every_answer(processor, redaction=Redaction(r"(?!)"))
    own = await every_answer(processor, redaction=Redaction("^user$"))
    assert (SECRET in own, "'ada'" in own) == (True, False)


async def test_what_is_hidden_cannot_be_asked_for(processors: Processors) -> None:
    """A filter on a hidden field is refused, and one on a field that is shown finds its jobs."""
    processor = await filled(processors)
    async with assisting(processor) as assistant:
        told = await assistant.refused("find_jobs", payload={"password": SECRET})
        assert "this one is hidden" in told
        assert SECRET not in told
        assert len((await assistant.ask("find_jobs", payload={"user": "ada"}))["jobs"]) == 1


async def test_an_answer_has_an_end(processors: Processors) -> None:
    """What is too long to be read is cut, and says how long it is."""
    processor = await processors.make()
    processor.job("many")(take)
    payload = {"text": "x" * 100_000, "list": list(range(1000)), "deep": deep(40)}
    job = await processor.schedule_job("many", payload)
    async with assisting(processor) as assistant:
        shown = (await assistant.ask("get_job", job_id=str(job.id)))["job"]["payload"]
    assert shown["text"] == f"{'x' * LONGEST_TEXT}… (100000 characters)"
    assert shown["list"][MOST_ITEMS:] == [f"… ({1000 - MOST_ITEMS} more)"]
    assert "…" in str(shown["deep"])


def take(payload: dict[str, Any]) -> None:
    """Do nothing."""


def deep(levels: int) -> Any:
    """Return a list in a list, and so on."""
    return [deep(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("get_job", {"job_id": "nonsense"}, "job_id: 'nonsense' is not allowed"),
        ("get_job", {"job_id": "0" * 24}, "no job has the id"),
        ("get_group", {"group_id": "0" * 24}, "0" * 24),
        ("get_flow", {"flow_id": "0" * 24}, "0" * 24),
        ("find_jobs", {"status": "gone"}, "status"),
        ("find_jobs", {"limit": 1000}, "less than or equal to 100"),
        ("get_job", {}, "job_id"),
    ],
)
async def test_what_cannot_be_answered(
    processors: Processors, tool: str, arguments: Any, told: str
) -> None:
    """An error says what was wrong, and the server goes on."""
    processor = await processors.make()
    async with assisting(processor) as assistant:
        assert told in await assistant.refused(tool, **arguments)
        assert await assistant.ask("list_pauses") == {"names": [], "tags": [], "workers": []}
