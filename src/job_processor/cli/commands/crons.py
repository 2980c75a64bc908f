"""`crons`: when they fire next, and how they went; one of them in detail, and run by hand."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from job_processor.as_json import job_json, to_json
from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.output import console, plain, print_json
from job_processor.cli.app.reading import read_text
from job_processor.cli.app.when import read_time, relative
from job_processor.cli.views import pauses, tables
from job_processor.crons.manage import CronInfo
from job_processor.errors import UnknownJobError
from job_processor.jobs.pauses import Pauses
from job_processor.models import CronTask
from job_processor.processor import JobProcessor


def list_crons(db: str | None, prefix: str, *, as_json: bool) -> None:
    """Print the crons."""

    async def look(processor: JobProcessor) -> tuple[str, dict[str, Any]]:
        return processor.address, await processor.get_status()

    address, status = ask(db, prefix, look)
    crons = status["crons"]
    if as_json:
        print_json(crons)
    elif crons:
        console().print(tables.crons_table(crons, read_time(status["now"])))
    else:
        console().print(
            Text(f"There are no crons in {address}: a worker that defines some adds them.")
        )


def show(db: str | None, prefix: str, name: str, *, as_json: bool) -> None:
    """Print one cron with its next times."""
    read_text("NAME", name)
    cron = ask(db, prefix, lambda processor: _find(processor, name))
    if as_json:
        print_json(to_json({**asdict(cron), "upcoming": list(cron.upcoming)}))
        return
    now = datetime.now(UTC)
    rows = {
        "name": plain(cron.name),
        "expression": f"{plain(cron.cron_string)}  in {plain(cron.timezone)}",
        "service": "of the Node package" if cron.service is None else plain(cron.service),
        "paused": "yes" if cron.paused else "no",
    }
    if cron.unlisted_since is not None:
        since = relative(cron.unlisted_since, now)
        rows["listed"] = f"by no worker since {since}; it plans nothing"
    made = tables.fields_table(rows)
    for label, moment in zip(["next", "", "", "", ""], cron.upcoming, strict=False):
        told = f"{moment:%Y-%m-%d %H:%M:%S} UTC, {relative(moment, now)}"
        made.add_row(label, told)
    console().print(made)


def pause(db: str | None, prefix: str, name: str, *, as_json: bool) -> None:
    """Pause a cron, and print what is paused then."""

    async def end(processor: JobProcessor) -> Pauses:
        await _find(processor, name)  # a misspelled name would pause nothing, and nobody would know
        await processor.pause(name)
        return await processor.get_pauses()

    read_text("NAME", name)
    pauses.tell(ask(db, prefix, end), "Paused", name, None, as_json=as_json)


def run(db: str | None, prefix: str, name: str, *, as_json: bool) -> None:
    """Run a cron now and print the task."""

    async def begin(processor: JobProcessor) -> CronTask:
        return await processor.run_cron(name)

    read_text("NAME", name)
    task = ask(db, prefix, begin)
    if as_json:
        print_json(job_json(task))
        return
    told = "skipped, since one is active" if task.settled else "in the queue, due now"
    console().print(Text(f"Cron {plain(name)!r}: task {task.id} is {told}."))


def remove(db: str | None, prefix: str, name: str, *, yes: bool, as_json: bool) -> int:
    """Remove a cron, asked for on a terminal; return the exit code."""
    read_text("NAME", name)
    if not yes and not _agreed(name):
        console().print("Nothing was done.")
        return FAILED

    async def end(processor: JobProcessor) -> None:
        await processor.remove_cron(name)

    ask(db, prefix, end)
    if as_json:
        print_json({"removed": name})
    else:
        console().print(Text(f"Cron {plain(name)!r} is removed; what waited of it is skipped."))
    return DONE


def _agreed(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True  # it was named, and there is nobody to ask
    sys.stderr.write(f"Remove cron {plain(name)!r}, and skip what waits of it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _find(processor: JobProcessor, name: str) -> CronInfo:
    """Return a cron; raises UnknownJobError, with those that there are."""
    crons = {cron.name: cron for cron in await processor.get_crons()}
    if name not in crons:
        known = ", ".join(map(repr, crons)) or "none yet"
        raise UnknownJobError("NAME", name, f"the crons of this database are: {known}")
    return crons[name]
