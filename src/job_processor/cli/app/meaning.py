"""Names and tags that nobody has: most of them are misspelt, so they are asked about."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.output import plain
from job_processor.cli.app.reading import read_text, read_yes

if TYPE_CHECKING:  # the help of a command does without the engine
    from job_processor.processor import JobProcessor

_SHOWN = 8  # names in a message


def check_one_of(name: str | None, tag: str | None) -> None:
    """Refuse both and neither, and what can be no name."""
    from job_processor.settings import check_name  # noqa: PLC0415  # see above

    if (name is None) == (tag is None):
        raise UsageError("give one of the two: NAME or --tag TAG")
    for option, text in (("NAME", name), ("--tag", tag)):
        if text is not None:
            check_name(option, read_text(option, text))


async def stranger(processor: JobProcessor, name: str | None, tag: str | None) -> str | None:
    """Return what is to be said of a name, or a tag, that nobody has; None where somebody has it.

    A name: of a definition, a cron or a job. A tag: of a definition, or of those that a worker is
    told to serve.
    """
    from job_processor.ops.known import (  # noqa: PLC0415  # see above
        known_names,
        known_tags,
        learn_names,
    )
    from job_processor.parts import ready_parts_of  # noqa: PLC0415  # the same

    parts = ready_parts_of(processor)
    await learn_names(parts)
    if name is not None:
        if (await processor.list_jobs(name=name, limit=1)).jobs:
            return None
        known = await known_names(parts)
        told = f"NAME: nobody defines {plain(name)!r}, and no job has this name"
        return None if name in known else told + _known(name, known)
    assert tag is not None  # noqa: S101  # one of the two is given
    known = await known_tags(parts)
    told = f"--tag: no job or cron has the tag {plain(tag)!r}"
    return None if tag in known else told + _known(tag, known)


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that nothing of a kind has, as far as can be told; raises UsageError."""
    if name not in known:
        raise UsageError(
            f"NAME: no {what} of {plain(name)!r} is in use or defined"
            f"{_known(name, known) or ' (there are: none)'}; give --app APP to use the "
            "names of an application, or --force to do it anyway"
        )


def agreed(told: str, action: str) -> bool:
    """Ask whether it is meant all the same; raise UsageError where nobody is there to ask."""
    answer = read_yes(f"{told}. {action} it anyway?")
    if answer is None:
        raise UsageError(f"{told}; give --force to do it anyway")
    return answer


def _known(given: str, known: Collection[str]) -> str:
    """Return what may have been meant, or what there is."""
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f" (did you mean {plain(near[0])!r}?)"
    names = sorted(known)
    more = ", …" if len(names) > _SHOWN else ""
    return f" (there are: {', '.join(map(plain, names[:_SHOWN]))}{more})" if names else ""
