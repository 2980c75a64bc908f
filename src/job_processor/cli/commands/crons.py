"""`crons`: when they fire next, and how they went; one of them in detail, and run by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.groups import lists
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, plain, print_json, say
from job_processor.cli.app.reading import read_text, read_yes
from job_processor.cli.commands.resume import resume as resume_name
from job_processor.errors import unknown

if TYPE_CHECKING:
    from job_processor.crons.manage import CronInfo
    from job_processor.jobs.pauses import Pauses
    from job_processor.models import CronTask
    from job_processor.processor import JobProcessor

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
CronName = Annotated[str, typer.Argument(metavar="NAME", help="The name of a cron.")]

crons = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@crons.callback()
def _crons(
    context: typer.Context,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """List crons; or show, run, pause, resume or remove one.

    Without a command, list them with their next times and last runs.
    """
    if lists(context):
        _list(db, prefix, app, json)


@crons.command("list")
def _list(db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False) -> None:
    """List crons with their next times and last runs."""
    from job_processor.cli.app.when import read_time
    from job_processor.cli.views import tables
    from job_processor.redaction import Redaction

    async def look(processor: JobProcessor) -> tuple[str, dict[str, Any]]:
        return processor.address, await processor.get_status(Redaction())

    address, status = ask(Place(db, prefix, app), look)
    if json:
        print_json(status["crons"])
    elif status["crons"]:
        console().print(tables.crons_table(status["crons"], read_time(status["now"])))
    else:
        say(f"There are no crons in {address}: a worker that defines some adds them.")


@crons.command()
def show(
    name: CronName, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Show the cron NAME with its next five times."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from job_processor.as_json import to_json
    from job_processor.cli.views import tables

    read_text("NAME", name)
    cron = ask(Place(db, prefix, app), lambda processor: _find(processor, name))
    if json:
        print_json(to_json({**asdict(cron), "upcoming": list(cron.upcoming)}))
    else:
        console().print(tables.cron_table(cron, datetime.now(UTC)))


@crons.command()
def run(
    name: CronName, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Run the cron NAME once now, in addition to its schedule.

    A worker that defines it runs it; while the cron is paused, the run waits.
    """
    from job_processor.as_json import job_json

    async def begin(processor: JobProcessor) -> CronTask:
        async with audited(processor, "run_cron", name):
            return await processor.run_cron(name)

    read_text("NAME", name)
    task = ask(Place(db, prefix, app), begin)
    if json:
        print_json(job_json(task))
        return
    told = "skipped, because one is active" if task.settled else "in the queue, due now"
    say(f"Cron {plain(name)!r}: task {task.id} is {told}.")


@crons.command()
def pause(
    name: CronName, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Pause the cron NAME for all workers."""
    from job_processor.cli.views import pauses

    async def end(processor: JobProcessor) -> Pauses:
        await _find(processor, name)  # a misspelled name would pause nothing, and nobody would know
        async with audited(processor, "pause", name):
            await processor.pause(name)
        return await processor.get_pauses()

    read_text("NAME", name)
    pauses.tell(ask(Place(db, prefix, app), end), "Paused", name, None, as_json=json)


@crons.command()
def resume(
    name: CronName, db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False
) -> None:
    """Resume the cron NAME.

    Its `misfire` decides about missed runs.
    """
    resume_name(name, None, db, prefix, app, json)


@crons.command()
def remove(
    name: CronName,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove the cron NAME, which no worker lists any more.

    Its waiting runs are skipped. On a terminal it asks first.
    """

    async def end(processor: JobProcessor) -> None:
        async with audited(processor, "remove_cron", name):
            await processor.remove_cron(name)

    read_text("NAME", name)
    if not yes and not _agreed(name):
        say("Nothing was done.")
        raise typer.Exit(FAILED)
    ask(Place(db, prefix, app), end)
    if json:
        print_json({"removed": name})
    else:
        say(f"Cron {plain(name)!r} is removed; its waiting occurrences are skipped.")
    raise typer.Exit(DONE)


def _agreed(name: str) -> bool:
    answer = read_yes(f"Remove cron {plain(name)!r}, and skip its waiting occurrences?")
    return answer is not False  # where nobody is there to ask, that it was named is enough


async def _find(processor: JobProcessor, name: str) -> CronInfo:
    """Return a cron; raises UnknownJobError, with those that there are."""
    found = {cron.name: cron for cron in await processor.get_crons()}
    if name not in found:
        raise unknown("NAME", name, "the crons of this database", found)
    return found[name]
