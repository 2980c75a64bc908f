"""`pause` and `resume`: names and tags, for all workers."""

from __future__ import annotations

from rich.text import Text

from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.output import console, plain, print_json
from job_processor.cli.app.reading import read_text
from job_processor.jobs.pauses import Pauses
from job_processor.processor import JobProcessor


def pause(db: str | None, prefix: str, name: str | None, tag: str | None, *, as_json: bool) -> None:
    """Pause a name or a tag, and print what is paused then."""

    async def end(processor: JobProcessor) -> Pauses:
        await processor.pause(name, tag=tag)
        return await processor.get_pauses()

    _check(name, tag)
    tell(ask(db, prefix, end), "Paused", name, tag, as_json=as_json)


def resume(
    db: str | None, prefix: str, name: str | None, tag: str | None, *, as_json: bool
) -> None:
    """Resume a name or a tag, and print what is paused still."""

    async def begin(processor: JobProcessor) -> Pauses:
        await processor.resume(name, tag=tag)
        return await processor.get_pauses()

    _check(name, tag)
    tell(ask(db, prefix, begin), "Resumed", name, tag, as_json=as_json)


def paused_text(pauses: Pauses) -> str:
    """Return names and tags in one line."""
    names = [plain(name) for name in sorted(pauses.names)]
    return ", ".join(names + [f"tag {plain(tag)}" for tag in sorted(pauses.tags)])


def _check(name: str | None, tag: str | None) -> None:
    if (name is None) == (tag is None):
        raise UsageError("give one of the two: NAME or --tag TAG")
    for option, text in (("NAME", name), ("--tag", tag)):
        if text is not None:
            read_text(option, text)


def tell(pauses: Pauses, done: str, name: str | None, tag: str | None, *, as_json: bool) -> None:
    """Print what was done, and what is paused."""
    if as_json:
        print_json({"names": sorted(pauses.names), "tags": sorted(pauses.tags)})
        return
    what = f"tag {plain(tag)!r}" if tag is not None else repr(plain(name or ""))
    rest = f" Paused are: {paused_text(pauses)}." if pauses else ""
    console().print(Text(f"{done} {what}; workers see it within a second.{rest}"))
