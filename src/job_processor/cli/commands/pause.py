"""`pause`: a name or a tag, for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.options import DEFAULT_PREFIX, Db, Json, Paused, Prefix, Tag
from job_processor.cli.app.reading import read_text

if TYPE_CHECKING:
    from job_processor.jobs.pauses import Pauses
    from job_processor.processor import JobProcessor


def pause(
    name: Paused = None,
    tag: Tag = None,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    json: Json = False,
) -> None:
    """Pause NAME, or a tag, for all workers.

    None of them begins anything of it, within a second; what runs goes on.
    """
    from job_processor.cli.views import pauses

    async def end(processor: JobProcessor) -> Pauses:
        await processor.pause(name, tag=tag)
        return await processor.get_pauses()

    check_one_of(name, tag)
    pauses.tell(ask(db, prefix, end), "Paused", name, tag, as_json=json)


def check_one_of(name: str | None, tag: str | None) -> None:
    """Refuse both and neither, and text that is no UTF-8."""
    if (name is None) == (tag is None):
        raise UsageError("give one of the two: NAME or --tag TAG")
    for option, text in (("NAME", name), ("--tag", tag)):
        if text is not None:
            read_text(option, text)
