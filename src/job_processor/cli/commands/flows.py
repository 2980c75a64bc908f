"""`flows`: lists them; shows, kills or retries one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.groups import lists
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, print_json, say
from job_processor.cli.app.reading import read_id, read_limit

if TYPE_CHECKING:  # the help does without the engine
    from job_processor.handlers.flows import FlowInfo, FlowSummary
    from job_processor.jobs.actions import Acted
    from job_processor.processor import JobProcessor

FlowId = Annotated[str, typer.Argument(metavar="ID", help="The id of a flow, 24 hex digits.")]

Limit = Annotated[str, typer.Option(metavar="N", help="How many to list, at most 100.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="Only flows older than this one.")]

Act: TypeAlias = "Callable[[JobProcessor], Awaitable[Acted]]"

flows = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@flows.callback()
def _flows(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    limit: Limit = "20",
    after: After = None,
    json: Json = False,
) -> None:
    """List flows; or show, kill or retry one.

    Without a command: the newest first, with how many of their jobs have ended.
    `job-processor jobs --flow ID` lists the jobs of one.
    """
    if lists(context):
        _list(db, prefix, app, limit, after, json)


@flows.command("list")
def _list(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    limit: Limit = "20",
    after: After = None,
    json: Json = False,
) -> None:
    """List flows, the newest first."""
    from datetime import UTC, datetime

    from job_processor.as_json import flow_summary_json
    from job_processor.cli.views.flows import flows_table

    most = read_limit(limit)
    if after is not None:
        read_id("--after", after)

    async def find(processor: JobProcessor) -> tuple[str, list[FlowSummary]]:
        return processor.address, await processor.find_flows(most, after)

    address, found = ask(Place(db, prefix, app), find)
    if json:
        print_json([flow_summary_json(each) for each in found])
    elif found:
        console().print(flows_table(found, datetime.now(UTC)))
        if len(found) == most:
            say(f"\nThere may be more: --after {found[-1].id}", "dim")
    else:
        say(f"There are no flows in {address}: write flow = processor.flow(…).")


@flows.command()
def show(
    id: FlowId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Show the flow ID: its jobs in levels, one row for each name."""
    from datetime import UTC, datetime

    from job_processor.as_json import flow_json
    from job_processor.cli.views.flows import flow_view

    read_id("ID", id)
    info = ask(Place(db, prefix, app), lambda processor: _found(processor, id))
    if json:
        print_json(flow_json(info))
    else:
        console().print(flow_view(info, datetime.now(UTC)))


@flows.command()
def kill(
    id: FlowId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Kill the waiting jobs of the flow ID, and ask running ones to stop."""
    _act(Place(db, prefix, app), id, "kill", lambda it: it.kill_flow(id), as_json=json)


@flows.command()
def retry(
    id: FlowId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Retry the failed jobs of the flow ID, with those skipped because of them."""
    _act(Place(db, prefix, app), id, "retry", lambda it: it.retry_flow(id), as_json=json)


def _act(place: Place, id: str, action: str, act: Act, *, as_json: bool) -> None:
    """Do something with a flow, and tell with how many of its jobs."""
    from job_processor.as_json import flow_json

    read_id("ID", id)

    async def call(processor: JobProcessor) -> tuple[int, FlowInfo]:
        async with audited(processor, action, f"flow {id}"):
            acted = await act(processor)
        return acted.done, await _found(processor, id)

    count, info = ask(place, call)
    if as_json:
        print_json({"done": count, "flow": flow_json(info)})
        return
    jobs = "1 job" if count == 1 else f"{count} jobs"
    told = {"kill": "killed, or asked to stop", "retry": "retried"}[action]
    say(f"Flow {info.id}: {jobs} {told}; it is {info.status} now.")


async def _found(processor: JobProcessor, id: str) -> FlowInfo:
    from job_processor.errors import FlowNotFoundError

    info = await processor.get_flow(id)
    if info is None:
        raise FlowNotFoundError(id)
    return info
