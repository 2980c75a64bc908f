"""`rates`: how many may start in a time, changed and held for all workers."""

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
from job_processor.cli.app.reading import read_number, read_text

if TYPE_CHECKING:  # the help does without the engine
    from job_processor.jobs.rates import RateInfo
    from job_processor.processor import JobProcessor

RateName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The group of a rate or, without a group, the job or cron."
    ),
]
Burst = Annotated[
    str | None,
    typer.Option("--burst", metavar="N", help="How many may start at once after a pause."),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also accept a name whose rate is neither in use nor defined."),
]

rates = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@rates.callback()
def _rates(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """List rates; or set, reset, hold or release one.

    Without a command, list those that are in use or were changed, and those of the application.
    """
    if lists(context):
        _list(db, prefix, app, json)


@rates.command("list")
def _list(db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False) -> None:
    """List rates: how many may start, and when the next one may."""
    from job_processor.cli.views.rates import rates_json, rates_table

    async def look(processor: JobProcessor) -> tuple[str, list[RateInfo]]:
        return processor.address, await processor.rates()

    address, found = ask(Place(db, prefix, app), look)
    if json:
        print_json(rates_json(found))
    elif found:
        console().print(rates_table(found))
    else:
        say(f'No rate is in use in {address}: write rate="100/m" where a job is defined.')


@rates.command("set")
def _set(
    name: RateName,
    rate: Annotated[str, typer.Argument(metavar="RATE", help="Such as 10/s, 100/m, 5/h or 1/d.")],
    burst: Burst = None,
    force: Force = False,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Limit how many jobs of NAME start in a time, for all workers.

    They see it within a second. It is kept until it is reset.
    """
    from dataclasses import replace

    from job_processor.handlers.rates import as_rate

    wanted = as_rate(read_text("RATE", rate), "RATE")
    assert wanted is not None  # noqa: S101  # a text is one
    if burst is not None:
        wanted = replace(wanted, burst=read_number("--burst", burst))
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.set_rate(name, wanted),
        done=f"set to {wanted}, {wanted.burst} at once",
        force=force,
        as_json=json,
    )


@rates.command()
def reset(
    name: RateName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Restore the rate of NAME from the code."""
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.set_rate(name, None),
        done="the one in the code again",
        as_json=json,
    )


@rates.command()
def hold(
    name: RateName,
    time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 30s, 5m, 2h or 1d.")],
    force: Force = False,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Start no job of NAME for TIME from now; running jobs continue."""
    from job_processor.cli.app.when import parse_delay
    from job_processor.clock import span
    from job_processor.settings import RATE_PER_MAX

    delay = parse_delay(read_text("TIME", time), "TIME", RATE_PER_MAX)
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.hold(name, delay),
        done=f"held for {span(delay.total_seconds())}",
        force=force,
        as_json=json,
    )


@rates.command()
def release(
    name: RateName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """End the hold of NAME."""
    _change(
        Place(db, prefix, app),
        name,
        lambda processor: processor.hold(name, 0),
        done="held no more",
        as_json=json,
    )


def _change(
    place: Place,
    name: str,
    change: Callable[[JobProcessor], Awaitable[None]],
    *,
    done: str,
    force: bool = False,
    as_json: bool,
) -> None:
    """Do something with a rate that there is, and tell it."""
    from job_processor.cli.views.rates import rates_json
    from job_processor.settings import check_name

    async def call(processor: JobProcessor) -> list[RateInfo]:
        if not force:
            check_known("rate", name, [each.name for each in await processor.rates()])
        async with audited(processor, "rate", f"{name}: {done}"):
            await change(processor)
        return await processor.rates()

    check_name("NAME", read_text("NAME", name))
    found = ask(place, call)
    if as_json:
        print_json(rates_json(each for each in found if each.name == name))
    else:
        say(f"The rate of {plain(name)!r} is {done}; workers see it within a second.")
