"""`groups`: lists them; shows, waits for, kills or retries one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.groups import lists
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, print_json, say
from job_processor.cli.app.reading import read_id, read_limit, read_seconds

if TYPE_CHECKING:  # the help does without the engine
    from job_processor.handlers.groups import Group, GroupInfo
    from job_processor.processor import JobProcessor
    from job_processor.store.summaries import JobSummary

GroupId = Annotated[str, typer.Argument(metavar="ID", help="The id of a group, 24 hex digits.")]
Limit = Annotated[str, typer.Option(metavar="N", help="How many to list, at most 100.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="Only groups older than this one.")]

Act: TypeAlias = "Callable[[Group], Awaitable[int]]"

_FAILURES = 20

groups = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@groups.callback()
def _groups(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    limit: Limit = "20",
    after: After = None,
    json: Json = False,
) -> None:
    """List groups; or show, wait for, kill or retry one.

    Without a command: the newest first, with how many members have ended.
    """
    if lists(context):
        _list(db, prefix, app, limit, after, json)


@groups.command("list")
def _list(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    limit: Limit = "20",
    after: After = None,
    json: Json = False,
) -> None:
    """List groups, the newest first."""
    from datetime import UTC, datetime

    from job_processor.as_json import group_json
    from job_processor.cli.views.groups import groups_table

    most = read_limit(limit)
    if after is not None:
        read_id("--after", after)

    async def find(processor: JobProcessor) -> tuple[str, list[GroupInfo]]:
        return processor.address, await processor.find_groups(most, after)

    address, found = ask(Place(db, prefix, app), find)
    if json:
        print_json([group_json(each) for each in found])
    elif found:
        console().print(groups_table(found, datetime.now(UTC)))
        if len(found) == most:
            say(f"\nThere may be more: --after {found[-1].id}", "dim")
    else:
        say(f"There are no groups in {address}: write async with processor.group(…) as group.")


@groups.command()
def show(
    id: GroupId,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Show the group ID: its members by name and state, and those that failed."""
    from datetime import UTC, datetime

    from job_processor.as_json import group_json
    from job_processor.cli.views.groups import group_view

    read_id("ID", id)

    async def look(processor: JobProcessor) -> tuple[GroupInfo, list[JobSummary]]:
        group = await _found(processor, id)
        return await group.info(), await _failed(processor, id)

    info, failed = ask(Place(db, prefix, app), look)
    if json:
        print_json(group_json(info))
    else:
        console().print(group_view(info, failed, datetime.now(UTC)))


@groups.command()
def wait(
    id: GroupId,
    timeout: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Stop waiting after this time.")
    ] = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Wait until all members of the group ID have ended; exit code 1 unless all finished."""
    from job_processor.as_json import group_json

    read_id("ID", id)
    seconds = None if timeout is None else read_seconds("--timeout", timeout)

    async def until_over(processor: JobProcessor) -> GroupInfo:
        return await (await _found(processor, id)).wait(seconds)

    info = ask(Place(db, prefix, app), until_over)
    if json:
        print_json(group_json(info))
    else:
        say(f"Group {info.id} has {info.status}: {info.counts}.")
    raise typer.Exit(DONE if info.status == "finished" else FAILED)


@groups.command()
def kill(
    id: GroupId,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Kill the members of the group ID, and close it."""
    _act(Place(db, prefix, app), id, "kill", lambda group: group.kill(), as_json=json)


@groups.command()
def retry(
    id: GroupId,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Retry the members of the group ID that did not finish."""
    _act(Place(db, prefix, app), id, "retry", lambda group: group.retry(), as_json=json)


def _act(place: Place, id: str, action: str, act: Act, *, as_json: bool) -> None:
    """Do something with all members of a group, and tell of how many."""
    from job_processor.as_json import group_json

    read_id("ID", id)

    async def call(processor: JobProcessor) -> tuple[int, GroupInfo]:
        group = await _found(processor, id)
        async with audited(processor, action, f"group {id}"):
            count = await act(group)
        return count, await group.info()

    count, info = ask(place, call)
    if as_json:
        print_json({"done": count, "group": group_json(info)})
        return
    members = "1 member" if count == 1 else f"{count} members"
    told = {"kill": "killed, or asked to stop", "retry": "retried"}[action]
    say(f"Group {info.id}: {members} {told}; it is {info.status} now.")


async def _found(processor: JobProcessor, id: str) -> Group:
    from job_processor.errors import GroupNotFoundError

    group = await processor.get_group(id)
    if group is None:
        raise GroupNotFoundError(id)
    return group


async def _failed(processor: JobProcessor, id: str) -> list[JobSummary]:
    """Return some of the members that did not finish."""
    from job_processor.models import FAILED as FAILED_STATES
    from job_processor.redaction import Redaction

    failed: list[JobSummary] = []
    for status in sorted(FAILED_STATES):
        left = _FAILURES - len(failed)
        if left > 0:
            page = await processor.list_jobs(
                status=status, group=id, limit=left, redaction=Redaction()
            )
            failed += page.jobs
    return failed
