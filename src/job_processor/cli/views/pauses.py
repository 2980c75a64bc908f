"""What is paused, for people and as JSON."""

from __future__ import annotations

from job_processor.cli.app.output import plain, print_json, say
from job_processor.jobs.pauses import Pauses


def paused_text(pauses: Pauses) -> str:
    """Return names and tags in one line."""
    names = [plain(name) for name in sorted(pauses.names)]
    return ", ".join(names + [f"tag {plain(tag)}" for tag in sorted(pauses.tags)])


def tell(
    pauses: Pauses, done: str | None, name: str | None, tag: str | None, *, as_json: bool
) -> None:
    """Print what was done (None: it was not paused), and what is paused."""
    if as_json:
        print_json({"names": sorted(pauses.names), "tags": sorted(pauses.tags)})
        return
    what = f"tag {plain(tag)!r}" if tag is not None else repr(plain(name or ""))
    rest = f" Paused are: {paused_text(pauses)}." if pauses else ""
    if done is None:
        say(f"Nothing to do: {what} is not paused.{rest}")
    else:
        say(f"{done} {what}; workers see it within a second.{rest}")
