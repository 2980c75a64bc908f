"""Background jobs and crons for Python applications, on MongoDB or an embedded SQLite file.

A name is loaded when it is first asked for, so that importing the package, and whatever imports it
in passing, costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job_processor.clock import Clock
    from job_processor.crons.manage import CronInfo
    from job_processor.crons.schedules import SchedulePage
    from job_processor.errors import (
        AbortedError,
        BulkError,
        CodecError,
        DefinitionError,
        FlowNotFoundError,
        GroupClosedError,
        GroupNotFoundError,
        InvalidArgumentError,
        InvalidPayloadError,
        JobConflictError,
        JobFailed,
        JobNotFoundError,
        JobProcessorError,
        JobStateError,
        JobTimeoutError,
        LifespanError,
        MigrationError,
        MissingExtraError,
        MissingKeyError,
        NotSetUpError,
        PayloadError,
        ProcessDiedError,
        ScheduleNotFoundError,
        SearchLimitError,
        SharedDatabaseError,
        StoreError,
        StoreRefusedError,
        StoreSetupError,
        StoreUnavailableError,
        UnknownJobError,
        WorkerStateError,
    )
    from job_processor.events import Event, EventKind
    from job_processor.handlers.abort import AbortController, AbortReason, AbortSignal
    from job_processor.handlers.codecs import Codec, ObjectStore, Offload
    from job_processor.handlers.context import Context
    from job_processor.handlers.definitions import CronDef, CronOptions, JobDef, JobOptions
    from job_processor.handlers.flows import FlowInfo, FlowSummary
    from job_processor.handlers.groups import Group, GroupCounts, GroupInfo, GroupStatus
    from job_processor.handlers.limits import Limit
    from job_processor.handlers.rates import Rate
    from job_processor.handlers.retries import RateLimited, Retry, RetryLater, Snooze
    from job_processor.integrations.webhooks.jobs import webhook
    from job_processor.jobs.actions import Acted
    from job_processor.jobs.collection import Jobs
    from job_processor.jobs.handle import JobHandle
    from job_processor.jobs.limits import LaneJobs, LimitInfo
    from job_processor.jobs.pages import JobPage
    from job_processor.jobs.pauses import Pauses
    from job_processor.jobs.rates import RateInfo
    from job_processor.jobs.request import JobRequest
    from job_processor.models import (
        Attempt,
        Crash,
        Cron,
        CronTask,
        Job,
        JobStatus,
        LogLine,
        Notes,
        Output,
        Progress,
        RelatedJob,
        SimpleJob,
        SkipMetadata,
        Step,
        TypedJob,
        Vitals,
    )
    from job_processor.node.migration import MigrationReport
    from job_processor.ops.check import Finding
    from job_processor.ops.scaling import Scaling
    from job_processor.processor import JobProcessor, init_job_processor
    from job_processor.store.error_groups import ErrorGroup
    from job_processor.store.lanes import LaneInfo
    from job_processor.store.name_rollups import NameRollup
    from job_processor.store.rollups import Rollup
    from job_processor.store.schedules import Schedule
    from job_processor.store.summaries import JobSummary, SummaryPage

__all__ = [
    "AbortController",
    "AbortReason",
    "AbortSignal",
    "AbortedError",
    "Acted",
    "Attempt",
    "BulkError",
    "Clock",
    "Codec",
    "CodecError",
    "Context",
    "Crash",
    "Cron",
    "CronDef",
    "CronInfo",
    "CronOptions",
    "CronTask",
    "DefinitionError",
    "ErrorGroup",
    "Event",
    "EventKind",
    "Finding",
    "FlowInfo",
    "FlowNotFoundError",
    "FlowSummary",
    "Group",
    "GroupClosedError",
    "GroupCounts",
    "GroupInfo",
    "GroupNotFoundError",
    "GroupStatus",
    "InvalidArgumentError",
    "InvalidPayloadError",
    "Job",
    "JobConflictError",
    "JobDef",
    "JobFailed",
    "JobHandle",
    "JobNotFoundError",
    "JobOptions",
    "JobPage",
    "JobProcessor",
    "JobProcessorError",
    "JobRequest",
    "JobStateError",
    "JobStatus",
    "JobSummary",
    "JobTimeoutError",
    "Jobs",
    "LaneInfo",
    "LaneJobs",
    "LifespanError",
    "Limit",
    "LimitInfo",
    "LogLine",
    "MigrationError",
    "MigrationReport",
    "MissingExtraError",
    "MissingKeyError",
    "NameRollup",
    "NotSetUpError",
    "Notes",
    "ObjectStore",
    "Offload",
    "Output",
    "Pauses",
    "PayloadError",
    "ProcessDiedError",
    "Progress",
    "Rate",
    "RateInfo",
    "RateLimited",
    "RelatedJob",
    "Retry",
    "RetryLater",
    "Rollup",
    "Scaling",
    "Schedule",
    "ScheduleNotFoundError",
    "SchedulePage",
    "SearchLimitError",
    "SharedDatabaseError",
    "SimpleJob",
    "SkipMetadata",
    "Snooze",
    "Step",
    "StoreError",
    "StoreRefusedError",
    "StoreSetupError",
    "StoreUnavailableError",
    "SummaryPage",
    "TypedJob",
    "UnknownJobError",
    "Vitals",
    "WorkerStateError",
    "init_job_processor",
    "webhook",
]

_HOMES = {  # all others are errors
    "clock": "Clock",
    "crons.manage": "CronInfo",
    "crons.schedules": "SchedulePage",
    "events": "Event EventKind",
    "handlers.abort": "AbortController AbortReason AbortSignal",
    "handlers.codecs": "Codec ObjectStore Offload",
    "handlers.context": "Context",
    "handlers.definitions": "CronDef CronOptions JobDef JobOptions",
    "handlers.flows": "FlowInfo FlowSummary",
    "handlers.groups": "Group GroupCounts GroupInfo GroupStatus",
    "handlers.limits": "Limit",
    "handlers.rates": "Rate",
    "handlers.retries": "RateLimited Retry RetryLater Snooze",
    "integrations.webhooks.jobs": "webhook",
    "jobs.actions": "Acted",
    "jobs.collection": "Jobs",
    "jobs.handle": "JobHandle",
    "jobs.limits": "LaneJobs LimitInfo",
    "jobs.pages": "JobPage",
    "jobs.pauses": "Pauses",
    "jobs.rates": "RateInfo",
    "jobs.request": "JobRequest",
    "models": "Attempt Crash Cron CronTask Job JobStatus LogLine Notes Output RelatedJob Progress "
    "SimpleJob SkipMetadata Step TypedJob Vitals",
    "node.migration": "MigrationReport",
    "ops.check": "Finding",
    "ops.scaling": "Scaling",
    "processor": "JobProcessor init_job_processor",
    "store.lanes": "LaneInfo",
    "store.error_groups": "ErrorGroup",
    "store.name_rollups": "NameRollup",
    "store.rollups": "Rollup",
    "store.schedules": "Schedule",
    "store.summaries": "JobSummary SummaryPage",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that has it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"job_processor.{_HOME_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
