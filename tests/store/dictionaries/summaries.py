"""Extracts of jobs: what a row of a list shows, whatever the job holds.

A database makes them where the job lies, so that of a large one no more comes out than is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from job_processor.models import Job, SimpleJob
from job_processor.redaction import Redaction
from job_processor.store.summaries import (
    BEHIND,
    BETWEEN,
    FIELDS,
    NAME,
    READ,
    READ_OF_VALUE,
    SECRET,
    SECRETS,
    VALUE,
    WHOLE,
    Extract,
    JobSummary,
    Part,
    extract_of,
    summary_of,
)

_NAMING = ("name", "key", "header", "field")
"""Fields that name the `value` beside them."""


def summaries_of(jobs: Iterable[Job], redaction: Redaction | None) -> list[JobSummary]:
    """Return what is shown of jobs, in their order."""
    return [summary_of(_extract(job, redaction), redaction) for job in jobs]


def _extract(job: Job, redaction: Redaction | None) -> Extract:
    whole = extract_of(job)
    payload = job.payload if isinstance(job, SimpleJob) else None
    progress = whole.progress
    if progress is not None and progress.message is not None:
        progress = replace(progress, message=progress.message[:READ])
    return replace(
        whole,
        progress=progress,
        payload=_part(payload),
        error=None if whole.error is None else whole.error.lstrip()[:READ],
        result=_part(None if job.output is None else job.output.result),
        secrets="" if redaction is None else _secrets(payload, redaction),
    )


def _part(value: Any) -> Part | None:
    """Return a value where it is short, else its beginning or its first fields."""
    if value is None or len(_text(value)) <= WHOLE:
        return None if value is None else Part("whole", value)
    if isinstance(value, Mapping):
        fields = [(name[: NAME + 1], _field(value[name])) for name in list(value)[:FIELDS]]
        return Part("fields", fields)
    return _beginning(value, READ)


def _field(value: Any) -> Part:
    """Return the same of what stands within a mapping."""
    text = _text(value)
    return Part("whole", value) if len(text) <= VALUE else _beginning(value, READ_OF_VALUE)


def _beginning(value: Any, length: int) -> Part:
    if isinstance(value, str):
        return Part("text", value[:length])
    if isinstance(value, bytes):
        return Part("other", f"{len(value)} bytes")
    return Part("other", "object" if isinstance(value, Mapping) else "array")


def _secrets(payload: Any, redaction: Redaction) -> str:
    """Return each name that hides with the beginning of what it hides, some more than is read."""
    pairs, length = [], 0
    for name, value in _hidden(payload, redaction):
        pairs.append(f"{name[:READ]}{BETWEEN}{_text(value)[:SECRET]}")
        length += len(pairs[-1])
        if length > SECRETS:
            break
    return BEHIND.join(pairs)


def _hidden(value: Any, redaction: Redaction) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name in _NAMING:
            if redaction.hides(value.get(name)):
                yield value[name], value.get("value")
        for name, item in value.items():
            yield from [(name, item)] if redaction.hides(name) else _hidden(item, redaction)
    elif isinstance(value, list):
        if len(value) == 2 and redaction.hides(value[0]):
            yield value[0], value[1]
        for item in value:
            yield from _hidden(item, redaction)


def _text(value: Any) -> str:
    """Return a text as such, and JSON of anything else."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
