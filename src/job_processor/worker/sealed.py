"""What a run needs and cannot read: a codec has encoded it, and that of this process cannot."""

from __future__ import annotations

from job_processor.errors import CodecError
from job_processor.models import Job
from job_processor.values import check_open, is_sealed


def sealed_error(job: Job) -> CodecError | None:
    """Return why a handler cannot be called: what it would get is encoded; None: it can."""
    payload = getattr(job, "payload", None)
    if not job.steps and not is_sealed(payload):  # most jobs
        return None
    try:
        check_open(payload, "the payload")
        for step in job.steps:
            check_open(step.result, f"the result of step {step.name!r}")
    except CodecError as error:
        return error
    return None
