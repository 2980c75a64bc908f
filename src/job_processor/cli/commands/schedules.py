"""`schedules`: what is made at moments to come; put, paused and removed while everything runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import DONE, FAILED, AppError, UsageError
from job_processor.cli.app.groups import lists
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, plain, print_json, say
from job_processor.cli.app.reading import (
    read_choice,
    read_labels,
    read_limit,
    read_number,
    read_payload,
    read_text,
    read_yes,
)
from job_processor.cli.app.source import ONCE, find_app
from job_processor.settings import IN_MEMORY

if TYPE_CHECKING:  # the help does without the engine
    from datetime import datetime, timedelta

    from job_processor.cli.app.loading import App
    from job_processor.processor import JobProcessor
    from job_processor.store.schedules import Schedule

ScheduleName = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of a schedule, such as digest:42.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
OfJob = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only schedules of this job.")
]
Limit = Annotated[str, typer.Option("--limit", metavar="N", help="How many to list, 1 to 1000.")]
After = Annotated[
    str | None,
    typer.Option(
        "--after", metavar="NAME", help="Only schedules whose names follow this one: the next page."
    ),
]

schedules = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@schedules.callback()
def _schedules(
    context: typer.Context,
    job: OfJob = None,
    limit: Limit = "50",
    after: After = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """List schedules; or put, pause, resume or remove one.

    Without a command, list those that were created at run time, by name.
    """
    if lists(context):
        _list(job, limit, after, db, prefix, app, json)


@schedules.command("list")
def _list(
    job: OfJob = None,
    limit: Limit = "50",
    after: After = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """List schedules by name: job, next run, and number of jobs."""
    from datetime import UTC, datetime

    from job_processor.as_json import schedule_json
    from job_processor.cli.views.schedules import schedules_table

    number = read_limit(limit)
    for option, text in (("--job", job), ("--after", after)):
        read_text(option, text or "")

    async def look(processor: JobProcessor) -> tuple[str, Any]:
        return processor.address, await processor.schedules(number, after, job=job)

    address, page = ask(Place(db, prefix, app), look)
    if json:
        listed = [schedule_json(each) for each in page.schedules]
        print_json({"schedules": listed, "next": page.next})
    elif page.schedules:
        console().print(schedules_table(page.schedules, datetime.now(UTC)))
        if page.next is not None:
            say(f"There are more: --after {plain(page.next)}")
    else:
        say(f"There is no schedule in {address}: processor.put_schedule(…) makes one.")


@schedules.command()
def show(
    name: ScheduleName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Show the schedule NAME with its next five times."""
    _check_name(name)
    _print(ask(Place(db, prefix, app), lambda processor: _find(processor, name)), as_json=json)


@schedules.command()
def put(
    name: ScheduleName,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="The name of a job of APP.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            "--cron", metavar="EXPRESSION", help="A cron expression, such as '0 8 * * *'."
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            "--every", metavar="TIME", help="An interval instead of --cron, such as 45s or 10d."
        ),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload", metavar="JSON", help="The payload of each job; - reads it from stdin."
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            metavar="ZONE",
            help="The time zone of --cron, such as Europe/Paris. [default: the application's]",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start", metavar="TIME", help="No occurrence before this time, in ISO 8601."
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="TIME", help="No occurrence after this time, in ISO 8601."),
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--limit", metavar="N", help="Stop after this number of jobs.")
    ] = None,
    misfire: Annotated[
        str,
        typer.Option(
            "--misfire",
            metavar="WORD",
            help="What happens to missed occurrences: once, skip or all.",
        ),
    ] = "once",
    priority: Annotated[
        str, typer.Option("--priority", metavar="N", help="The priority of each job, 0 to 9.")
    ] = "0",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="LABEL", help="A label of each job; may be given several times."
        ),
    ] = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Create the schedule NAME, or change it.

    The application validates the job and its payload. Nothing changes if the schedule is the same
    already.
    """
    import asyncio

    from job_processor.cli.app.loading import load_app
    from job_processor.cli.app.when import parse_delay
    from job_processor.schedule import LONGEST_INTERVAL, parse

    _check_name(name)
    if job is None:
        raise UsageError("--job: give the name of a job of the application, which NAME stores")
    if (cron is None) == (every is None):
        raise UsageError("--cron: give --cron EXPRESSION or --every TIME, one of the two")
    fields: dict[str, Any] = {
        "job": read_text("--job", job),
        "cron": None if cron is None else parse(read_text("--cron", cron), "--cron"),
        "every": None if every is None else parse_delay(every, "--every", LONGEST_INTERVAL),
        "payload": None if payload is None else read_payload(payload),
        "timezone": timezone,
        "start": _time("--start", start),
        "end": _time("--end", end),
        "limit": None if limit is None else read_number("--limit", limit),
        "misfire": read_choice("--misfire", misfire, ("once", "skip", "all")),
        "priority": read_number("--priority", priority),
        "labels": read_labels(label),
    }
    source = find_app(app, "--app")
    if source is None:
        raise UsageError(f"--job: {plain(job)!r} is the name of a job of which application? {ONCE}")
    _print(asyncio.run(_put(load_app(source), name, fields)), as_json=json)


@schedules.command()
def pause(
    name: ScheduleName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Pause the schedule NAME until it is resumed."""
    _change(
        Place(db, prefix, app),
        name,
        "pause_schedule",
        lambda processor: processor.pause_schedule(name),
        as_json=json,
    )


@schedules.command()
def resume(
    name: ScheduleName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Resume the schedule NAME.

    Its `misfire` decides about missed runs.
    """
    _change(
        Place(db, prefix, app),
        name,
        "resume_schedule",
        lambda processor: processor.resume_schedule(name),
        as_json=json,
    )


@schedules.command()
def remove(
    name: ScheduleName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove the schedule NAME; jobs that it has created stay.

    On a terminal it asks first.
    """

    async def end(processor: JobProcessor) -> None:
        await _find(processor, name)
        async with audited(processor, "remove_schedule", name):
            await processor.remove_schedule(name)

    _check_name(name)
    if not yes and read_yes(f"Remove schedule {plain(name)!r}?") is False:
        say("Nothing was done.")
        raise typer.Exit(FAILED)
    ask(Place(db, prefix, app), end)
    if json:
        print_json({"removed": name})
    else:
        say(f"Schedule {plain(name)!r} is removed; its jobs stay.")
    raise typer.Exit(DONE)


async def _put(app: App, name: str, fields: dict[str, Any]) -> Schedule:
    async with await app.processor() as processor:
        if processor.address.startswith(IN_MEMORY):
            raise AppError(
                f"the database of {app.spec!r} is in memory, and the schedule would be gone at "
                "once; allowed is a database that a worker can share",
                app.source.by,
            )
        async with audited(processor, "put_schedule", name):
            return await processor.put_schedule(name, **fields)


def _change(
    place: Place,
    name: str,
    action: str,
    change: Callable[[JobProcessor], Awaitable[Schedule]],
    *,
    as_json: bool,
) -> None:
    async def call(processor: JobProcessor) -> Schedule:
        await _find(processor, name)
        async with audited(processor, action, name):
            return await change(processor)

    _check_name(name)
    _print(ask(place, call), as_json=as_json)


async def _find(processor: JobProcessor, name: str) -> Schedule:
    """Return a schedule; raises UsageError, with what to do."""
    found = await processor.get_schedule(name)
    if found is None:
        raise UsageError(
            f"NAME: there is no schedule {plain(name)!r} in {processor.address}; "
            "`job-processor schedules` lists the existing ones"
        )
    return found


def _print(schedule: Schedule, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from job_processor.as_json import schedule_json
    from job_processor.cli.views.schedules import schedule_table

    if as_json:
        print_json(schedule_json(schedule))
    else:
        console().print(schedule_table(schedule, datetime.now(UTC)))


def _check_name(name: str) -> None:
    from job_processor.settings import check_name

    check_name("NAME", read_text("NAME", name))


def _time(option: str, text: str | None) -> datetime | timedelta | None:
    from job_processor.cli.app.when import parse_when

    return None if text is None else parse_when(text, option)
