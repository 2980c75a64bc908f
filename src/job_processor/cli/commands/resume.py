"""`resume`: a name or a tag, for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job_processor.cli.app.asking import ask
from job_processor.cli.app.options import DEFAULT_PREFIX, Db, Json, Paused, Prefix, Tag
from job_processor.cli.commands.pause import check_one_of

if TYPE_CHECKING:
    from job_processor.jobs.pauses import Pauses
    from job_processor.processor import JobProcessor


def resume(
    name: Paused = None,
    tag: Tag = None,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    json: Json = False,
) -> None:
    """End the pause of NAME, or of a tag."""
    from job_processor.cli.views import pauses

    async def begin(processor: JobProcessor) -> Pauses:
        await processor.resume(name, tag=tag)
        return await processor.get_pauses()

    check_one_of(name, tag)
    pauses.tell(ask(db, prefix, begin), "Resumed", name, tag, as_json=json)
