"""Outputs, attempts, notes, steps: plain values, as a database keeps them in a job, and back.

Read leniently: what another writer has left there takes nothing down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from job_processor.clock import EPOCH
from job_processor.models import (
    Attempt,
    Crash,
    LogLine,
    Notes,
    Output,
    Progress,
    SkipMetadata,
    Step,
)
from job_processor.store.lenient import (
    fields_of,
    id_of,
    list_of,
    moment,
    number,
    text_of,
    text_or_none,
    whole,
)


def plain_output(output: Output) -> dict[str, Any]:
    """Return what a run left."""
    plain: dict[str, Any] = {
        "duration": output.duration,
        "result": output.result,
        "error": output.error,
    }
    if output.skip_metadata is not None:
        plain["skip_metadata"] = {
            "reason": output.skip_metadata.reason,
            "conflicting_job_id": output.skip_metadata.conflicting_job_id,
            "skipped_at": output.skip_metadata.skipped_at,
        }
    return plain


def plain_attempts(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """Return the attempts before the present one."""
    return [
        {name: value for name, value in asdict(each).items() if name != "worker" or value}
        for each in attempts
    ]


def plain_crash(crash: Crash) -> dict[str, Any]:
    """Return the death of a worker."""
    return asdict(crash)


def crash_of(value: object) -> Crash | None:
    """Return the death of a worker; None where it is none that can be read."""
    fields = fields_of(value)
    rescuer_id, at = id_of(fields.get("rescuer_id")), moment(fields.get("at"))
    if rescuer_id is None or at is None:
        return None
    return Crash(
        worker_id=id_of(fields.get("worker_id")),
        worker=text_or_none(fields.get("worker")),
        rescuer_id=rescuer_id,
        rescuer=text_of(fields.get("rescuer", "")),
        at=at,
    )


def plain_notes(notes: Notes) -> dict[str, Any]:
    """Return what a run has told."""
    progress = notes.progress
    return {
        "progress": None if progress is None else asdict(progress),
        "log": [asdict(line) for line in notes.log],
    }


def plain_step(step: Step) -> dict[str, Any]:
    """Return a step; its name is a value, since it may be any text."""
    plain: dict[str, Any] = {
        "name": step.name,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "result": step.result,
    }
    if step.until is not None:
        plain["until"] = step.until
    if step.topic is not None:
        plain["topic"] = step.topic
    return plain


def output_of(value: object) -> Output | None:
    """Return what a run left; None where it is no mapping."""
    if not isinstance(value, Mapping):
        return None
    return Output(
        duration=text_of(value.get("duration") or "--"),
        result=value.get("result"),
        error=text_or_none(value.get("error")),
        skip_metadata=skip_of(value.get("skip_metadata")),
    )


def skip_of(value: object) -> SkipMetadata | None:
    """Return why a job was skipped; None where it is no mapping."""
    if not isinstance(value, Mapping):
        return None
    conflict = value.get("reason") == "noConcurrent_conflict"
    return SkipMetadata(
        reason="noConcurrent_conflict" if conflict else "other",
        conflicting_job_id=id_of(value.get("conflicting_job_id")),
        skipped_at=moment(value.get("skipped_at")) or EPOCH,
    )


def attempts_of(value: object) -> tuple[Attempt, ...]:
    """Return the attempts before the present one."""
    return tuple(
        Attempt(
            number=whole(each.get("number"), 1),
            started_at=moment(each.get("started_at")) or EPOCH,
            ended_at=moment(each.get("ended_at")) or EPOCH,
            error=text_or_none(each.get("error")),
            worker_id=id_of(each.get("worker_id")),
            worker=text_or_none(each.get("worker")),
        )
        for each in map(fields_of, list_of(value))
    )


def steps_of(value: object) -> tuple[Step, ...]:
    """Return the steps that are done, and those that wait for a message: see `with_step`."""
    found: dict[str, Step] = {}
    for each in map(fields_of, list_of(value)):
        step = _step_of(each)
        if step.name not in found or found[step.name].ended_at is None:
            found[step.name] = step
    return tuple(found.values())


def _step_of(fields: Mapping[str, Any]) -> Step:
    ended_at, topic = moment(fields.get("ended_at")), text_or_none(fields.get("topic"))
    return Step(
        name=text_of(fields.get("name", "")),
        started_at=moment(fields.get("started_at")) or EPOCH,
        ended_at=EPOCH if ended_at is None and topic is None else ended_at,
        result=fields.get("result"),
        until=moment(fields.get("until")),
        topic=topic,
    )


def notes_of(value: object) -> Notes | None:
    """Return what a run has told of itself; None where it is no mapping."""
    if not isinstance(value, Mapping):
        return None
    progress = fields_of(value.get("progress"))
    lines = (fields_of(line) for line in list_of(value.get("log")))
    return Notes(
        progress=progress_of(progress.get("fraction"), progress.get("message"), progress.get("at")),
        log=tuple(
            LogLine(moment(line.get("at")) or EPOCH, text_of(line.get("text", "")))
            for line in lines
        ),
    )


def progress_of(fraction: object, message: object, at: object) -> Progress | None:
    """Return how far a run has come; None where it is no number from 0 to 1."""
    known = number(fraction)
    if known is None:
        return None
    return Progress(min(max(known, 0.0), 1.0), text_or_none(message), moment(at) or EPOCH)
