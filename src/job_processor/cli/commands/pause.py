"""`pause`: a name or a tag, for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited, named
from job_processor.cli.app.failing import FAILED
from job_processor.cli.app.meaning import agreed, check_one_of, stranger
from job_processor.cli.app.options import AppOption, Db, Json, Paused, Prefix, Tag
from job_processor.cli.app.output import say

if TYPE_CHECKING:
    from job_processor.jobs.pauses import Pauses
    from job_processor.processor import JobProcessor


def pause(
    name: Paused = None,
    tag: Tag = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do not ask about an unknown name or tag.")
    ] = False,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Pause NAME, or a tag, for all workers.

    Workers stop starting these jobs within a second; running jobs continue. For an unknown name it
    asks on a terminal, and elsewhere needs --force.
    """
    from job_processor.cli.views import pauses

    async def end(processor: JobProcessor) -> Pauses | None:
        told = None if force else await stranger(processor, name, tag)
        if told is not None and not agreed(told, "Pause"):
            return None
        async with audited(processor, "pause", named(name, tag)):
            await processor.pause(name, tag=tag)
        return await processor.get_pauses()

    check_one_of(name, tag)
    paused = ask(Place(db, prefix, app), end)
    if paused is None:
        say("Nothing was done.")
        raise typer.Exit(FAILED)
    pauses.tell(paused, "Paused", name, tag, as_json=json)
