"""Tools that look, and change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from job_processor.as_json import (
    flow_json,
    flow_summary_json,
    group_json,
    job_json,
    schedule_json,
)
from job_processor.errors import (
    FlowNotFoundError,
    GroupNotFoundError,
    InvalidArgumentError,
    JobNotFoundError,
)
from job_processor.integrations.mcp.telling import Telling
from job_processor.models import RelatedJob
from job_processor.ops.known import learn_names
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import COUNT_CAP_OF_SELECTIONS

_PAGE = 20  # jobs of a page, unless more are asked for
_CHILDREN = 50  # of one job

Status = Literal["pending", "running", "paused", "finished", "errored", "killed", "skipped"]
JobId = Annotated[str, Field(description="Id of a job: 24 hexadecimal digits.")]
Limit = Annotated[int, Field(ge=1, le=100, description="The most entries to return.")]
Name = Annotated[str | None, Field(description="Only jobs and crons with this name.")]
OfStatus = Annotated[Status | None, Field(description="Only jobs in this status.")]
Tag = Annotated[str | None, Field(description="Only names with this tag (queue).")]
Label = Annotated[str | None, Field(description="Only jobs with this label, such as tenant:42.")]
Error = Annotated[str | None, Field(description="Only jobs with this text in the error.")]
Payload = Annotated[
    dict[str, Any] | None,
    Field(description='Only jobs with this value at this path of the payload: {"user.id": 7}.'),
]
From = Annotated[
    datetime | None,
    Field(description="Only jobs created from this time on; ISO 8601 with a time zone."),
]
To = Annotated[
    datetime | None,
    Field(description="Only jobs created until this time; ISO 8601 with a time zone."),
]
Worker = Annotated[str | None, Field(description="Only jobs run by the worker with this id.")]
Flow = Annotated[str | None, Field(description="Only jobs of the flow with this id.")]
Group = Annotated[str | None, Field(description="Only members of the group with this id.")]


class Looking:
    """What assistants may always do."""

    def __init__(self, processor: JobProcessor, telling: Telling) -> None:
        self._processor = processor
        self.tell = telling
        """Makes answers."""

    @property
    def tools(self) -> list[Callable[..., Awaitable[dict[str, Any]]]]:
        """Each tool, by its function."""
        return [
            *(self.status, self.find_jobs, self.count_jobs, self.get_job, self.list_names),
            *(self.list_workers, self.list_crons, self.list_schedules, self.list_pauses),
            *(self.list_limits, self.list_rates, self.list_groups, self.get_group),
            *(self.list_flows, self.get_flow, self.list_audit),
        ]

    async def status(self) -> dict[str, Any]:
        """Show the state of the system: workers, due jobs, counts by name and status, crons."""
        found = await self._processor.get_status(self.tell.redaction)
        return self.tell(database=self._processor.address, **found)

    async def find_jobs(  # each is a filter of its own
        self,
        name: Name = None,
        status: OfStatus = None,
        tag: Tag = None,
        label: Label = None,
        error: Error = None,
        payload: Payload = None,
        created_from: From = None,
        created_to: To = None,
        worker: Worker = None,
        flow: Flow = None,
        group: Group = None,
        limit: Limit = _PAGE,
        after: Annotated[
            str | None,
            Field(description="`next` of the previous page, to get the page that follows it."),
        ] = None,
    ) -> dict[str, Any]:
        """List jobs and occurrences of crons, newest first, with short extracts of their data."""
        selection = await self._selection(
            name=name,
            status=status,
            tag=tag,
            label=label,
            error=error,
            payload=payload,
            created_from=created_from,
            created_to=created_to,
            worker=worker,
            flow=flow,
            group=group,
        )
        page = await self._processor.list_jobs(
            limit=limit, after=after, redaction=self.tell.redaction, **selection
        )
        return self.tell(jobs=[job_json(each) for each in page.jobs], next=page.next)

    async def count_jobs(
        self,
        name: Name = None,
        status: OfStatus = None,
        tag: Tag = None,
        label: Label = None,
        error: Error = None,
        created_from: From = None,
        created_to: To = None,
    ) -> dict[str, Any]:
        """Count jobs that match filters; `is_exact` is false if the count stopped early."""
        selection = await self._selection(
            name=name,
            status=status,
            tag=tag,
            label=label,
            error=error,
            created_from=created_from,
            created_to=created_to,
        )
        count = await self._processor.count_jobs(**selection)
        return self.tell(count=count, is_exact=count < COUNT_CAP_OF_SELECTIONS)

    async def get_job(self, job_id: JobId) -> dict[str, Any]:
        """Show one job: payload, result or error, attempts with tracebacks, log and steps.

        Also its parents (the jobs that it runs after) and children (the jobs that run after it).
        """
        found = await self._processor.get_job(job_id)
        if found is None:
            raise JobNotFoundError(job_id)
        return self.tell(
            job=job_json(found),
            parents=[_related(each) for each in await self._processor.get_parents(job_id)],
            children=[
                _related(each) for each in await self._processor.get_children(job_id, _CHILDREN)
            ],
        )

    async def list_names(self) -> dict[str, Any]:
        """List the names of jobs and crons, with tags and the number of waiting jobs."""
        parts = ready_parts_of(self._processor)
        await learn_names(parts)
        waiting = await self._processor.count_waiting()
        parked = await self._processor.count_parked()
        tags = {name: each.tag for name, each in parts.registry.all.items()}
        names = sorted({*tags, *waiting, *parked})
        return self.tell(
            names=[
                {
                    "name": name,
                    "tag": tags.get(name),
                    "due": waiting.get(name, 0),
                    "waiting_for_others": parked.get(name, 0),
                }
                for name in names
            ]
        )

    async def list_workers(self) -> dict[str, Any]:
        """List workers and the jobs that they run."""
        health = await self._processor.get_healthcheck(self.tell.redaction)
        return self.tell(now=health["now"], workers=health["workers"])

    async def list_crons(self) -> dict[str, Any]:
        """List crons with their expressions and next times."""
        crons = await self._processor.get_crons()
        return self.tell(crons=[{**asdict(each), "upcoming": [*each.upcoming]} for each in crons])

    async def list_schedules(
        self,
        job: Annotated[
            str | None, Field(description="Only schedules of the job with this name.")
        ] = None,
        limit: Limit = 50,
        after: Annotated[
            str | None,
            Field(description="`next` of the previous page, to get the page that follows it."),
        ] = None,
    ) -> dict[str, Any]:
        """List schedules that were created at run time, by name."""
        page = await self._processor.schedules(limit, after, job=job)
        return self.tell(schedules=[schedule_json(each) for each in page.schedules], next=page.next)

    async def list_pauses(self) -> dict[str, Any]:
        """List the names and tags that are paused for all workers."""
        pauses = await self._processor.get_pauses()
        return self.tell(**{group: sorted(found) for group, found in asdict(pauses).items()})

    async def list_limits(self) -> dict[str, Any]:
        """List concurrency limits with their fullest lanes: running and waiting jobs."""
        return self.tell(limits=[each.as_json() for each in await self._processor.limits()])

    async def list_rates(self) -> dict[str, Any]:
        """List rate limits: how many jobs may start in a time, and when the next one may."""
        return self.tell(rates=[each.as_json() for each in await self._processor.rates()])

    async def list_groups(self, limit: Limit = _PAGE) -> dict[str, Any]:
        """List groups of jobs, newest first, with counts of their members."""
        found = await self._processor.find_groups(limit)
        return self.tell(groups=[group_json(each) for each in found])

    async def get_group(
        self, group_id: Annotated[str, Field(description="Id of a group.")]
    ) -> dict[str, Any]:
        """Show a group of jobs; `find_jobs` lists its members."""
        found = await self._processor.get_group(group_id)
        if found is None:
            raise GroupNotFoundError(group_id)
        return self.tell(group=group_json(await found.info()))

    async def list_flows(self, limit: Limit = _PAGE) -> dict[str, Any]:
        """List flows of jobs, newest first, with counts of their jobs."""
        found = await self._processor.find_flows(limit)
        return self.tell(flows=[flow_summary_json(each) for each in found])

    async def get_flow(
        self,
        flow_id: Annotated[str, Field(description="Id of a flow: the field `flow` of its jobs.")],
    ) -> dict[str, Any]:
        """Show a flow of jobs: its levels, with counts by status."""
        found = await self._processor.get_flow(flow_id)
        if found is None:
            raise FlowNotFoundError(flow_id)
        return self.tell(flow=flow_json(found))

    async def list_audit(self, limit: Limit = _PAGE) -> dict[str, Any]:
        """List the audit log: who did what, latest first."""
        found = await self._processor.get_audit(limit)
        return self.tell(entries=[asdict(each) for each in found])

    async def _selection(self, **given: Any) -> dict[str, Any]:
        """Return what `find_jobs` of the processor takes to select.

        Raises InvalidArgumentError for a field of the payload that is hidden: whoever may ask
        whether it has a value can find the value out.
        """
        for path in given.get("payload") or {}:
            if self.tell.redaction.hides(path):
                allowed = "allowed is a field whose value is shown; this one is hidden"
                raise InvalidArgumentError("payload", path, allowed)
        if given.get("tag") is not None:
            await learn_names(ready_parts_of(self._processor))
        return {name: value for name, value in given.items() if value is not None}


def _related(job: RelatedJob) -> dict[str, Any]:
    return asdict(job)
