"""Which jobs a command is about: the filters of `jobs`, from text to what the facade takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from job_processor.cli.app.reading import read_text
from job_processor.errors import InvalidArgumentError, Unshown

STATUSES = ("pending", "running", "finished", "errored", "paused", "killed", "skipped")
_PAYLOAD = "allowed is a path and a value, such as user.id=7"

Name = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this name.")]
Status = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS",
        help="Only pending, running, finished, errored, paused, killed or skipped.",
        autocompletion=lambda: list(STATUSES),
    ),
]
Type = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Only simple (jobs) or cron_task.",
        autocompletion=lambda: ["simple", "cron_task"],
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help="Only made from this time on: in ISO 8601, or 2h for two hours ago."
    ),
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Only made before this time.")]
Worker = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Only of this worker: what it runs, and what it ended."),
]
Error = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only with this text in the error.")
]
Payload = Annotated[
    str | None,
    typer.Option(metavar="PATH=VALUE", help="Only with this value in the payload: user.id=7."),
]


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters as typed; the facade checks the most of them."""

    name: str | None = None
    status: str | None = None
    type: str | None = None
    since: str | None = None
    until: str | None = None
    worker: str | None = None
    error: str | None = None
    payload: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what `find_jobs` takes; nothing for what was not asked."""
        found: dict[str, Any] = {
            "name": None if self.name is None else read_text("--name", self.name),
            "status": self.status,
            "type": self.type,
            "created_from": _moment("--since", self.since),
            "created_to": _moment("--until", self.until),
            "worker": self.worker,
            "error": None if self.error is None else read_text("--error", self.error),
            "payload": None if self.payload is None else _field(self.payload),
        }
        return {name: value for name, value in found.items() if value is not None}


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    from job_processor.cli.app.when import parse_when  # noqa: PLC0415  # --help does without

    when = parse_when(text, option)
    return datetime.now(UTC) - when if isinstance(when, timedelta) else when


def _field(text: str) -> dict[str, str]:
    path, equals, value = read_text("--payload", text).partition("=")
    if not path or not equals:
        raise InvalidArgumentError("--payload", Unshown(text), _PAYLOAD)
    return {path: value}
