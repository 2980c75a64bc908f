"""`migrate-from-node`: what a database of the Node package holds, and the move away from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import console, print_json

if TYPE_CHECKING:
    from job_processor.cli.app.loading import App
    from job_processor.node.migration import MigrationReport


def migrate_from_node(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make the changes.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Restore the validator of the Node package.")
    ] = False,
    json: Json = False,
) -> None:
    """Report on a migration from the Node package.

    Also reports the contents of its database. Changes nothing without --apply, and may be
    repeated. Exits with 1 if a problem blocks it, such as a running Node worker without workerTags.
    """
    import asyncio

    from job_processor.cli.views import migration
    from job_processor.cli.views.progress import waiting

    place = Place(db, prefix, app)
    named = place.application()
    with waiting("looking at the database" if not apply else "moving"):
        report = asyncio.run(_move(place, named, apply=apply, undo=undo))
    value = report.as_json()
    if json:
        print_json(value)
    else:
        console().print(migration.report(value))
    raise typer.Exit(FAILED if report.problems else DONE)


async def _move(place: Place, app: App | None, *, apply: bool, undo: bool) -> MigrationReport:
    """Report, and then change what was asked for and nothing stands in the way of."""
    processor = await place.observer(app)
    try:
        report = await processor.migrate_from_node()
        if (apply and not report.problems) or undo:
            async with audited(processor, "migrate-from-node", "undo" if undo else "apply"):
                report = await processor.migrate_from_node(apply=apply, undo=undo)
    finally:
        await processor.close()
    return report
