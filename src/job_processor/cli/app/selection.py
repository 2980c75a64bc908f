"""Which jobs a command is about: the filters of `jobs`, from text to what the facade takes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.reading import read_labels, read_text
from job_processor.errors import InvalidArgumentError, Unshown

if TYPE_CHECKING:
    from job_processor.processor import JobProcessor

STATUSES = ("pending", "running", "finished", "errored", "paused", "killed", "skipped")
_PAYLOAD = "allowed is a path and a value, such as user.id=7"

Name = Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs with this name.")]
Status = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS",
        help="Only jobs in this state: pending, running, finished, errored, paused, killed or "
        "skipped.",
        autocompletion=lambda: list(STATUSES),
    ),
]
Type = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Only jobs (simple) or occurrences of crons (cron_task).",
        autocompletion=lambda: ["simple", "cron_task"],
    ),
]
OfTag = Annotated[
    str | None,
    typer.Option("--tag", metavar="TAG", help="Only jobs with this tag (queue)."),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help="Only jobs created since this time: ISO 8601, or 2h for two hours ago."
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Only jobs created before this time.")
]
Worker = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Only jobs that this worker runs or ended."),
]
Error = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only jobs with this text in the error.")
]
Payload = Annotated[
    str | None,
    typer.Option(metavar="PATH=VALUE", help="Only jobs with this value in the payload: user.id=7."),
]
Lane = Annotated[
    str | None,
    typer.Option(
        metavar="LANE",
        help="Only jobs of this lane of a limit, such as sync:tenant-42; see limits.",
    ),
]

OfGroup = Annotated[
    str | None, typer.Option("--group", metavar="ID", help="Only members of this group.")
]

OfLabel = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="LABEL",
        help="Only jobs with this label; may be given several times, for jobs with all of them.",
    ),
]

OfFlow = Annotated[str | None, typer.Option("--flow", metavar="ID", help="Only jobs of this flow.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters as typed; the facade checks the most of them."""

    name: str | None = None
    status: str | None = None
    type: str | None = None
    tag: str | None = None
    since: str | None = None
    until: str | None = None
    worker: str | None = None
    error: str | None = None
    payload: str | None = None
    lane: str | None = None
    group: str | None = None
    flow: str | None = None
    labels: list[str] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what `find_jobs` takes, nothing for what was not asked.

        Raises InvalidArgumentError for what no database is to be opened for.
        """
        from job_processor.handlers.registry import Registry  # noqa: PLC0415  # --help does without
        from job_processor.jobs.selection import query_of  # noqa: PLC0415  # the same

        found = self._given()
        query_of(Registry({}, {}), **found)
        return found

    def _given(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": None if self.name is None else read_text("--name", self.name),
            "status": self.status,
            "type": self.type,
            "tag": None if self.tag is None else read_text("--tag", self.tag),
            "created_from": _moment("--since", self.since),
            "created_to": _moment("--until", self.until),
            "worker": self.worker,
            "error": None if self.error is None else read_text("--error", self.error),
            "payload": None if self.payload is None else _field(self.payload),
            "lane": None if self.lane is None else read_text("--lane", self.lane),
            "group": self.group,
            "flow": self.flow,
            "labels": read_labels(self.labels),
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def noted(self) -> str:
        """What the audit keeps of it, without texts that errors or payloads may hide."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        labels = given.pop("labels") or ()
        parts = [
            key if key in ("error", "payload") else f"{key}={value}"
            for key, value in given.items()
            if value is not None
        ]
        parts += [f"label={label}" for label in labels]
        return f"all with {', '.join(parts)}"


async def check_tag(processor: JobProcessor, tag: str | None) -> None:
    """Learn which names have a tag; raise InvalidArgumentError for one that none of them has."""
    if tag is None:
        return
    from job_processor.ops.known import learn_names  # noqa: PLC0415  # --help does without
    from job_processor.parts import ready_parts_of  # noqa: PLC0415  # the same

    await learn_names(ready_parts_of(processor))
    known = processor.registry.tags
    if tag not in known:
        told = f"those that are known here are {', '.join(map(repr, known))}"
        raise InvalidArgumentError("--tag", tag, told if known else "no name has a tag here")


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
