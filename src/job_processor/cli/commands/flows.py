"""`flows`: shows, kills or retries one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, print_json, say
from job_processor.cli.app.reading import read_id

if TYPE_CHECKING:  # the help does without the engine
    from job_processor.handlers.flows import FlowInfo
    from job_processor.jobs.actions import Acted
    from job_processor.processor import JobProcessor

FlowId = Annotated[str, typer.Argument(metavar="ID", help="The id of a flow, 24 hex digits.")]

Act: TypeAlias = "Callable[[JobProcessor], Awaitable[Acted]]"

flows = typer.Typer(no_args_is_help=True, subcommand_metavar="COMMAND")


@flows.callback()
def _flows() -> None:
    """Show, kill or retry a flow of jobs.

    `job-processor jobs --flow ID` lists them.
    """


@flows.command()
def show(
    id: FlowId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Show the flow ID: its jobs in levels, those of one name in one row."""
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
    """Kill what waits in the flow ID, and ask what runs to stop."""
    _act(Place(db, prefix, app), id, "kill", lambda it: it.kill_flow(id), as_json=json)


@flows.command()
def retry(
    id: FlowId, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Send what failed in the flow ID round again, with what was skipped because of it."""
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
    told = {"kill": "killed, or asked to stop", "retry": "sent round again"}[action]
    say(f"Flow {info.id}: {jobs} {told}; it is {info.status} now.")


async def _found(processor: JobProcessor, id: str) -> FlowInfo:
    from job_processor.errors import FlowNotFoundError

    info = await processor.get_flow(id)
    if info is None:
        raise FlowNotFoundError(id)
    return info
