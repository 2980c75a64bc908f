"""`resume`: a name or a tag, for all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited, named
from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.meaning import check_one_of, stranger
from job_processor.cli.app.options import AppOption, Db, Json, Paused, Prefix, Tag

if TYPE_CHECKING:
    from job_processor.jobs.pauses import Pauses
    from job_processor.processor import JobProcessor


def resume(
    name: Paused = None,
    tag: Tag = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """End the pause of NAME, or of a tag.

    Names and tags that are not paused stay as they are; unknown ones are errors.
    """
    from job_processor.cli.views import pauses

    async def begin(processor: JobProcessor) -> tuple[bool, Pauses]:
        found = await processor.get_pauses()
        if name not in found.names and tag not in found.tags:
            told = await stranger(processor, name, tag)
            if told is not None:
                raise UsageError(f"{told}; nothing of it is paused")
            return False, found
        async with audited(processor, "resume", named(name, tag)):
            await processor.resume(name, tag=tag)
        return True, await processor.get_pauses()

    check_one_of(name, tag)
    was_paused, paused = ask(Place(db, prefix, app), begin)
    done = "Resumed" if was_paused else None
    pauses.tell(paused, done, name, tag, as_json=json)
