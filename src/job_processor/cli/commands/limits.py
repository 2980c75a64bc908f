"""`limits`: how many may run at a time, changed for all workers; and what waits in their lanes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.groups import lists
from job_processor.cli.app.meaning import check_known
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, plain, print_json, say
from job_processor.cli.app.reading import read_limit, read_number, read_text

if TYPE_CHECKING:  # the help does without the engine
    from job_processor.jobs.limits import LaneJobs, LimitInfo
    from job_processor.processor import JobProcessor

LimitName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The group of a limit or, without a group, the job or cron."
    ),
]
LaneName = Annotated[
    str, typer.Argument(metavar="LANE", help="The name of a lane, as in lists: sync:tenant-42.")
]
Lanes = Annotated[
    str,
    typer.Option(
        "--lanes", metavar="N", help="How many lanes to list for each limit, fullest first."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also accept a name whose limit is neither in use nor defined."),
]
Limit = Annotated[
    str, typer.Option(metavar="N", help="How many running, and how many waiting, jobs to list.")
]

limits = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@limits.callback()
def _limits(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    lanes: Lanes = "5",
    json: Json = False,
) -> None:
    """List limits and lanes; or set, reset or show one.

    Without a command, list those that are in use or were changed, and those of the application,
    each with its fullest lanes.
    """
    if lists(context):
        _list(db, prefix, app, lanes, json)


@limits.command("list")
def _list(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    lanes: Lanes = "5",
    json: Json = False,
) -> None:
    """List limits with their fullest lanes: running, waiting and next jobs."""
    from datetime import UTC, datetime

    from job_processor.cli.views.limits import limits_json, limits_table
    from job_processor.settings import check_int

    shown = read_number("--lanes", lanes)
    check_int("--lanes", shown, minimum=0)

    async def look(processor: JobProcessor) -> tuple[str, list[LimitInfo]]:
        return processor.address, await processor.limits(shown)

    address, found = ask(Place(db, prefix, app), look)
    if json:
        print_json(limits_json(found))
    elif found:
        console().print(limits_table(found, datetime.now(UTC)))
    else:
        say(f"No limit is in use in {address}: write limit=3 where a job is defined.")


@limits.command("set")
def _set(
    name: LimitName,
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="How many may run at the same time, at least 1.")
    ],
    force: Force = False,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Limit how many jobs of NAME run at a time, for all workers; with a key, per key.

    They see it within a second. It stays until you reset it. Running jobs continue.
    """
    from job_processor.settings import check_int

    wanted = read_number("AMOUNT", amount)
    check_int("AMOUNT", wanted, minimum=1)
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.set_limit(name, wanted),
        done=f"set to {wanted}",
        force=force,
        as_json=json,
    )


@limits.command()
def reset(
    name: LimitName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Restore the limit of NAME from the code."""
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.set_limit(name, None),
        done="the one in the code again",
        as_json=json,
    )


@limits.command()
def show(
    lane: LaneName,
    limit: Limit = "10",
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Show LANE: its running and waiting jobs, and the next ones.

    Values of fields whose names suggest secrets are hidden.
    """
    from datetime import UTC, datetime

    from job_processor.cli.views.limits import lane_view
    from job_processor.redaction import Redaction

    most = read_limit(limit)
    read_text("LANE", lane)

    async def look(processor: JobProcessor) -> tuple[str, LaneJobs]:
        return processor.address, await processor.get_lane(lane, most, redaction=Redaction())

    address, found = ask(Place(db, prefix, app), look)
    if json:
        print_json(found.as_json())
    elif found.info.is_empty:
        say(
            f"Nothing runs or waits in the lane {plain(lane)!r} of {address}; "
            "`job-processor limits` lists lanes."
        )
    else:
        console().print(lane_view(found, datetime.now(UTC)))


def _change(
    place: Place,
    name: str,
    change: Callable[[JobProcessor], Awaitable[None]],
    *,
    done: str,
    force: bool = False,
    as_json: bool,
) -> None:
    """Do something with a limit that there is, and tell it."""
    from job_processor.cli.views.limits import limits_json
    from job_processor.settings import check_name

    async def call(processor: JobProcessor) -> list[LimitInfo]:
        if not force:
            check_known("limit", name, [each.name for each in await processor.limits(0)])
        async with audited(processor, "limit", f"{name}: {done}"):
            await change(processor)
        return await processor.limits()

    check_name("NAME", read_text("NAME", name))
    found = ask(place, call)
    if as_json:
        print_json(limits_json(each for each in found if each.name == name))
    else:
        say(f"The limit of {plain(name)!r} is {done}; workers see it within a second.")
