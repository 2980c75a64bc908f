"""A real client of MCP, as an assistant has one, and jobs for it to look at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp.types import TextContent

from job_processor import JobProcessor, Limit
from job_processor.integrations.mcp import create_server
from tests.processors import Processors

SECRET = "hunter-22-secret"  # noqa: S105  # of the tests

LOOKING = {
    *("status", "find_jobs", "count_jobs", "get_job", "list_names", "list_workers", "list_crons"),
    *("list_schedules", "list_pauses", "list_limits", "list_rates", "list_groups", "get_group"),
    *("list_flows", "get_flow", "list_audit"),
}
ACTING = {"retry_job", "kill_job", "delete_job", "pause", "resume"}


class Assistant:
    """Calls tools."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return what a tool answers, which must not be an error."""
        answer = await self.client.call_tool(tool, arguments)
        told = "".join(each.text for each in answer.content if isinstance(each, TextContent))
        assert not answer.is_error, told
        found: dict[str, Any] | None = answer.structured_content
        assert found is not None
        assert json.loads(told) == found
        return found

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Return the error that a tool tells."""
        answer = await self.client.call_tool(tool, arguments)
        assert answer.is_error
        return "".join(each.text for each in answer.content if isinstance(each, TextContent))


@asynccontextmanager
async def assisting(processor: JobProcessor, **options: Any) -> AsyncIterator[Assistant]:
    """Connect a client with the server of a processor."""
    async with Client(create_server(processor, **options)) as client:
        yield Assistant(client)


def refuse(user: str, password: str) -> None:
    """Fail, and say what is to be said to nobody."""
    raise ValueError(f"{user} with {password}")


def greet(name: str, text: str = "") -> str:
    """Succeed."""
    return f"Hello, {name}! {text}"


async def filled(processors: Processors) -> JobProcessor:
    """Return a processor in whose database there is something of everything."""
    processor = await processors.make()
    processor.job(limit=Limit(3), rate="1000/s", tag="mail")(greet)
    processor.job(refuse)
    processor.cron("0 2 * * *", name="nightly")(lambda: None)
    await processor.schedule_job("refuse", {"user": "ada", "password": SECRET})
    await processor.schedule_job("greet", {"name": "Ada"}, labels=["tenant:42"])
    await processor.put_schedule(
        "digest:42", cron="0 8 * * *", job="greet", payload={"name": "Bob"}
    )
    await processor.schedule_group("greet", [{"name": "Eve"}, {"name": "Joe"}])
    flow = processor.flow("import")
    flow.add("greet", {"name": "Kim"})
    await flow.start()
    await processor.run_worker(burst=True)
    await processor.pause("nightly")
    return processor
