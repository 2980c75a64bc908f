"""A job scheduled by hand, with a payload that somebody has edited."""

from __future__ import annotations

import json
from collections.abc import Mapping

from job_processor.as_json import job_json
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.processor import JobProcessor
from job_processor.redaction import Redaction
from job_processor.values import SEALED_SHOWN, normalize_payload


async def schedule(processor: JobProcessor, redaction: Redaction, fields: Mapping[str, str]) -> str:
    """Schedule what a form says; returns the id.

    `of` is the job whose payload was edited: what its page hid keeps the value that it has there,
    and the new one has its labels. Without a payload, the new one has that of this job.
    Only for a job of the same name: another handler might tell what this one keeps to itself.
    """
    job = await processor.get_job(fields["of"]) if fields.get("of") else None
    name = fields.get("name", "")
    of = job if job is not None and job.name == name else None
    if of is not None and "payload" not in fields:  # it was too large to be edited
        payload = getattr(of, "payload", None)
        return str((await processor.schedule_job(name, payload, labels=of.labels)).id)
    text = fields.get("payload", "").strip()
    try:
        payload = json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError("payload", Unshown(text), f"allowed is JSON: {error}") from error
    payload = normalize_payload(payload)  # not too deep, from here on
    if payload is not None and SEALED_SHOWN in payload:
        allowed = "this one is encrypted, and there is no key for it here; retry the job instead"
        raise InvalidArgumentError("payload", SEALED_SHOWN, allowed)
    payload = redaction.restored(payload, None if of is None else job_json(of).get("payload"))
    labels = None if of is None else of.labels
    return str((await processor.schedule_job(name, payload, labels=labels)).id)
