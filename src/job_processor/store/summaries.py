"""What a list shows of a job: an extract whose size does not depend on what the job holds.

A store makes the extract in its database, so that neither payload nor result comes out whole. Here
it becomes what is shown: the first fields, each value cut, hidden ones masked, and the first line
of the error.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from bson import ObjectId

from job_processor.clock import total_ms
from job_processor.models import (
    SETTLED,
    Crash,
    Job,
    JobStatus,
    JobType,
    LogLine,
    Output,
    Progress,
    SimpleJob,
    SkipMetadata,
    waits_for,
)
from job_processor.redaction import REDACTED, Redaction, without
from job_processor.values import SEALED, SEALED_SHOWN, is_sealed

FIELDS = 4
"""Fields of a payload, or of a result, that are shown."""

NAME = 40
"""Characters shown of the name of a field."""

VALUE = 80
"""Characters shown of a value."""

LINE = 160
"""Characters shown of an error's first line, and of a result that is a text."""

READ = 200
"""Characters that a store reads of an error, or of a result that is a text: some more than are
shown, so that what is hidden in it is found before it is cut."""

READ_OF_VALUE = 100
"""The same of a value in a payload or a result."""

WHOLE = 320
"""Characters of JSON up to which a store reads a value whole, and bytes of BSON."""

SECRET = 256
"""Characters that a store reads of a hidden value, to look for it in what is shown."""

SECRETS = 1024
"""Characters that it reads of all hidden values of a job."""

SEARCHED = 1024 * 1024
"""Size of a payload up to which a store looks for hidden values in it."""

BETWEEN, BEHIND = "\x1f", "\x1e"
"""What stands between a name and its hidden value, and behind each pair."""

Kind: TypeAlias = Literal["whole", "text", "fields", "other"]


class Part(NamedTuple):
    """What a store has read of a value."""

    kind: Kind
    value: Any = None
    """whole: the value. text: the beginning of a longer text. fields: the first fields, each a
    name and a part. other: the name of its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What a store has read of a job for a list."""

    plain: Mapping[str, Any]
    """Fields of a `JobSummary` that are shown as they are."""
    progress: Progress | None = None
    """Its message may be the beginning of a longer one."""
    payload: Part | None = None
    duration: str | None = None
    """None: it has no output."""
    error: str | None = None
    """The beginning of a text."""
    result: Part | None = None
    skip: SkipMetadata | None = None
    secrets: str | None = ""
    """Pairs of a name that may be hidden and the beginning of its value, where the payload was not
    read whole; None: they were not looked for, since the payload is too large for that."""


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """A short form of a job or cron task for lists; `get_job` has the whole job."""

    id: ObjectId
    type: JobType
    name: str
    status: JobStatus
    scheduled_for: datetime
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worker_id: ObjectId | None = None
    exclusive: bool = False
    attempt: int = 1
    priority: int = 0
    sync: bool = False
    sentry_id: str | None = None
    expires_at: datetime | None = None
    crash: Crash | None = None
    progress: Progress | None = None
    log: tuple[LogLine, ...] = ()
    """Always empty in a list."""
    payload: Mapping[str, Any] | None = None
    """Its first four fields; texts are cut at 80 characters, and `{…}` and `[…]` stand for nested
    values.
    """
    output: Output | None = None
    """The result is cut like the payload; of the error, the first line, at most 160 characters."""
    lane: str | None = None
    parked: str | None = None
    topics: tuple[str, ...] = ()
    rate_lane: str | None = None
    labels: tuple[str, ...] = ()
    is_cut: bool = False
    """True if payload, result or error of the job have more than this."""

    @property
    def settled(self) -> bool:
        """True once it has ended: finished, errored, killed or skipped."""
        return self.status in SETTLED

    @property
    def total_ms(self) -> int | None:
        """Milliseconds from its scheduled time to its end, as `total_ms` of a job."""
        return total_ms(self.scheduled_for, self.started_at, self.ended_at)

    @property
    def waits_for(self) -> str | None:
        """What it waits for besides its time, in words; None: nothing."""
        until, rate_lane = self.scheduled_for, self.rate_lane
        return waits_for(self.parked, self.lane, self.topics, until, rate_lane)


@dataclass(frozen=True, slots=True)
class SummaryPage:
    """A page of `list_jobs`."""

    jobs: tuple[JobSummary, ...]
    next: str | None
    """Pass it as `after` to get the page that follows; None: this is the last page.
    A page of a search may be short or empty and have one: the search continues from there."""
    previous: str | None = None
    """Pass it as `before` to get the page before; None: this is the first page."""


def shown_of(job: Job) -> JobSummary:
    """Return what a list shows of a job that is here as a whole; nothing of it is hidden."""
    return summary_of(extract_of(job), None)


def extract_of(job: Job) -> Extract:
    """Return all that a list may show of a job that is here as a whole, uncut."""
    output = job.output
    plain = {name: getattr(job, name) for name in _OF_A_JOB}
    payload = None
    if isinstance(job, SimpleJob):
        payload = job.payload
        plain |= {"sync": job.sync, "expires_at": job.expires_at}
    else:
        plain["sentry_id"] = job.sentry_id
    return Extract(
        plain=plain,
        progress=job.progress,
        payload=None if payload is None else Part("whole", payload),
        duration=None if output is None else output.duration,
        error=None if output is None else output.error,
        result=None if output is None or output.result is None else Part("whole", output.result),
        skip=None if output is None else output.skip_metadata,
    )


_OF_A_JOB = (
    *("id", "type", "name", "status", "scheduled_for", "created_at", "updated_at", "started_at"),
    *("ended_at", "worker_id", "exclusive", "attempt", "priority", "crash", "lane", "parked"),
    "topics",
    "rate_lane",
    "labels",
)
"""Fields of every job that are shown as they are."""


def summary_of(extract: Extract, redaction: Redaction | None) -> JobSummary:
    """Return what is shown; without a redaction nothing is hidden."""
    hiding = _Hiding.of(extract, redaction)
    payload, payload_is_cut = hiding.shown(extract.payload)
    output, output_is_cut = _output(extract, hiding)
    progress = extract.progress
    if progress is not None:
        message = progress.message
        shown = None if message is None else clipped(hiding.text(message), VALUE)
        progress = Progress(progress.fraction, shown, progress.at)
    return JobSummary(
        **extract.plain,
        progress=progress,
        payload=payload,
        output=output,
        is_cut=payload_is_cut or output_is_cut,
    )


def fields_line(fields: Any) -> str:
    """Return the first fields of a payload on one line: `to="ada@example.org", n=3`.

    fields: as `job_json` has them of a summary: shortened, and without what is hidden.
    """
    if not isinstance(fields, Mapping):  # of another writer
        return "" if fields is None else str(fields)
    shown = list(fields.items())[:FIELDS]
    return ", ".join(f"{name}={_value_line(value)}" for name, value in shown)


def _value_line(value: Any) -> str:
    """Return a value as JSON; what stands for a longer or a hidden one as it is."""
    if value in _STAND_FOR:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def clipped(text: str, limit: int) -> str:
    """Return the first characters of a text, with `…` where there are more.

    In at most twice as many bytes: what a list weighs depends on no alphabet.
    """
    cut = text[:limit].encode("utf-8", "replace")[: 2 * limit].decode("utf-8", "ignore")
    return text if len(cut) == len(text) else f"{cut}…"


def _output(extract: Extract, hiding: _Hiding) -> tuple[Output | None, bool]:
    if extract.duration is None:
        return None, False
    result, is_cut = hiding.shown(extract.result)
    error = None
    if extract.error is not None:
        line = hiding.error(extract.error)
        error = clipped(line, LINE)
        more = "\n" in extract.error.strip() or len(extract.error) >= READ
        is_cut = is_cut or more or error != line
    output = Output(clipped(extract.duration, NAME), result, error, extract.skip)
    return output, is_cut


class _Hiding:
    """Leaves out of what is shown of a job whatever its payload hides."""

    def __init__(self, redaction: Redaction | None, secrets: Sequence[str] | None) -> None:
        self._redaction = redaction
        self._secrets = secrets
        """None: they are not known, so nothing is shown that may repeat them."""

    @classmethod
    def of(cls, extract: Extract, redaction: Redaction | None) -> _Hiding:
        if redaction is None:
            return cls(None, ())
        payload = extract.payload
        if payload is None or payload.kind == "whole":
            return cls(redaction, redaction.secrets(payload.value) if payload else ())
        pairs = extract.secrets
        if pairs is None or len(pairs) > SECRETS:
            return cls(redaction, None)
        read = (
            {name: part.value for name, part in payload.value} if payload.kind == "fields" else {}
        )
        return cls(redaction, _secrets(redaction, pairs, read))

    def shown(self, part: Part | None) -> tuple[Any, bool]:
        """Return what is shown of a value, and whether there is more of it."""
        if part is None:
            return None, False
        if _is_sealed(part):
            return {SEALED_SHOWN: "…"}, True
        if part.kind == "text":
            return clipped(self.text(part.value), LINE), True
        if part.kind == "other":
            return _PLACES.get(part.value, f"<{part.value}>"), True
        value = part.value
        if part.kind == "fields":
            value = {name: self._read(each) for name, each in value}
        value = self._clean(value)
        if not isinstance(value, Mapping):
            shown = _brief(value, LINE)
            return shown, shown != value
        fields = {clipped(str(k), NAME): _brief(v, VALUE) for k, v in list(value.items())[:FIELDS]}
        return fields, part.kind == "fields" or fields != value

    def error(self, beginning: str) -> str:
        """Return the first line of an error without what is hidden; only its type if in doubt."""
        text = beginning.strip()
        if self._secrets is None:
            kind = re.match(r"[\w.]{1,80}(?=:|$)", text)
            return f"{kind[0]}: {REDACTED}" if kind else REDACTED
        return self.text(text).partition("\n")[0]

    def text(self, beginning: str) -> str:
        """Return a text, or the beginning of one, without what is hidden."""
        if self._redaction is None:
            return beginning
        if self._secrets is None:
            return REDACTED
        text = beginning
        if len(text) >= READ_OF_VALUE:
            text = _without_end(text, self._secrets)
        return self._redaction.text(str(without(text, self._secrets)))

    def _read(self, part: Part) -> Any:
        if part.kind == "text":
            return self.text(part.value)
        return part.value if part.kind == "whole" else _PLACES.get(part.value, f"<{part.value}>")

    def _clean(self, value: Any) -> Any:
        if self._redaction is None:
            return value
        fields = self._redaction.fields(value)
        if self._secrets is None:  # what stands under a name of its own is known to be shown
            return fields if isinstance(fields, Mapping) else REDACTED
        return without(fields, self._secrets)


def _is_sealed(part: Part) -> bool:
    """True for what a codec has encoded; of which no list shows anything."""
    if part.kind == "fields":
        return [name for name, _ in part.value] == [SEALED]
    return part.kind == "whole" and is_sealed(part.value)


_PLACES = {"object": "{…}", "array": "[…]"}
"""What stands for a value that is too large to be read for a list."""

_STAND_FOR = (*_PLACES.values(), REDACTED)
"""What stands for a value, and is none."""


def _brief(value: Any, limit: int) -> Any:
    """Return a value as it is, where it is short, or what stands for it."""
    if isinstance(value, str):
        return clipped(value, limit)
    if isinstance(value, bytes):
        return value if len(value) * 4 <= limit * 3 else f"<{len(value)} bytes>"
    if not isinstance(value, Mapping | list | tuple):
        return value if _is_short(value, limit) else clipped(str(value), limit)
    if _is_short(value, limit):
        return value
    return _PLACES["object" if isinstance(value, Mapping) else "array"]


def _is_short(value: Any, limit: int) -> bool:
    text = json.dumps(value, ensure_ascii=False, default=_as_text)
    return len(text.encode("utf-8", "replace")) <= limit


def _as_text(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _secrets(redaction: Redaction, pairs: str, read: Mapping[str, Any]) -> list[str]:
    """Return the texts to look for, of names with the beginnings of their values.

    And those in what was read of other fields, such as the password of an address.
    """
    found = set(redaction.secrets(read))
    for pair in pairs.split(BEHIND):
        name, _, text = pair.partition(BETWEEN)
        if text and redaction.hides(name):
            found.update(redaction.secrets({name: text}))
            if text[0] in "{[":  # the JSON of what stands under the name, perhaps cut
                for leaf in _leaves(text):
                    found.update(redaction.secrets({name: leaf}))
    return sorted(found, key=len, reverse=True)


def _leaves(beginning: str) -> Iterable[str]:
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"?', beginning):
        try:
            yield str(json.loads(f'"{text}"'))
        except ValueError:
            yield text
    yield from re.findall(r"-?\d[\d.eE+-]*", beginning)


def _without_end(text: str, secrets: Iterable[str]) -> str:
    """Return a text that may have been cut within a secret without what there is of that."""
    for secret in secrets:
        for length in range(min(len(secret), len(text)), 2, -1):
            if text.endswith(secret[:length]):
                return text[:-length] + REDACTED
    return text
