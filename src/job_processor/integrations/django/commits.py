"""Jobs that follow a commit of Django's database."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from job_processor.integrations.django.project import get_client, get_processor
from job_processor.jobs.request import JobRequest, Payload, When, make_job
from job_processor.parts import parts_of


def schedule_on_commit(
    name: str,
    payload: Payload = None,
    scheduled_for: When = None,
    *,
    using: str | None = None,
    robust: bool = False,
    **options: Any,
) -> None:
    """Schedule a job once the transaction that is open commits; at once where none is open.

    Rolled back, there is no job. Between the commit and the job there is a gap: a process that
    dies in it leaves no job, and a database of jobs that is away then makes this raise out of the
    block that committed.

    using: the alias of Django's database whose transaction counts; None: the default one.
    robust: a failure to schedule is logged and raises nothing, as in `transaction.on_commit`.
    options: the others of `JobProcessor.schedule_job`, but for `session`.

    Raises InvalidArgumentError at once, and so inside the transaction, for what `schedule_job`
    refuses: an unknown name, a payload that cannot be stored.
    """
    request = JobRequest(name, payload, scheduled_for, **options)
    checked = make_job(parts_of(get_processor()), request)  # neither stored nor told of

    def schedule() -> None:  # Django names it in its log, for which a partial is not enough
        get_client().schedule_job(name, checked.payload, scheduled_for, **options)

    transaction.on_commit(schedule, using=using, robust=robust)
