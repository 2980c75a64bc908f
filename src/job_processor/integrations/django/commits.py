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
    """Store a job once the open transaction commits; at once if no transaction is open.

    After a rollback there is no job. If the process crashes between the commit and the write of the
    job, the job is lost; if the database of jobs is unreachable then, the error is raised after the
    commit.

    using: the alias of the Django database whose transaction counts; None: the default one.
    robust: log a failure to store the job instead of raising it, as in `transaction.on_commit`.
    options: the other options of `JobProcessor.schedule_job`, except `session`.

    An unknown name, and a payload that cannot be stored, raise InvalidArgumentError at once, inside
    the transaction.
    """
    request = JobRequest(name, payload, scheduled_for, **options)
    checked = make_job(parts_of(get_processor()), request)  # neither stored nor told of

    def schedule() -> None:  # Django names it in its log, for which a partial is not enough
        get_client().schedule_job(name, checked.payload, scheduled_for, **options)

    transaction.on_commit(schedule, using=using, robust=robust)
