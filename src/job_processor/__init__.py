"""Background jobs and crons for Python applications, on MongoDB or an embedded SQLite file.

A name is loaded when it is first asked for, so that importing the package, and whatever imports it
in passing, costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job_processor.abort import AbortController, AbortReason, AbortSignal
    from job_processor.acting import Acted
    from job_processor.checking import Finding
    from job_processor.clock import Clock
    from job_processor.context import Context
    from job_processor.crons import CronInfo
    from job_processor.definitions import CronDef, JobDef
    from job_processor.errors import (
        AbortedError,
        BulkError,
        DefinitionError,
        InvalidArgumentError,
        InvalidPayloadError,
        JobConflictError,
        JobFailed,
        JobNotFoundError,
        JobProcessorError,
        JobStateError,
        JobTimeoutError,
        MigrationError,
        MissingExtraError,
        NotSetUpError,
        PayloadError,
        ProcessDiedError,
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
    from job_processor.facade.handles import JobHandle
    from job_processor.migration import MigrationReport
    from job_processor.models import (
        Attempt,
        Cron,
        CronTask,
        Job,
        JobStatus,
        Output,
        SimpleJob,
        SkipMetadata,
        Vitals,
    )
    from job_processor.notes import LogLine, Notes, Progress
    from job_processor.pauses import Pauses
    from job_processor.processor import JobProcessor, init_job_processor
    from job_processor.producer import JobRequest
    from job_processor.queries import JobPage
    from job_processor.retries import Retry, RetryLater, Snooze
    from job_processor.rollups import Rollup
    from job_processor.summaries import JobSummary, SummaryPage

__all__ = [
    "AbortController",
    "AbortReason",
    "AbortSignal",
    "AbortedError",
    "Acted",
    "Attempt",
    "BulkError",
    "Clock",
    "Context",
    "Cron",
    "CronDef",
    "CronInfo",
    "CronTask",
    "DefinitionError",
    "Event",
    "EventKind",
    "Finding",
    "InvalidArgumentError",
    "InvalidPayloadError",
    "Job",
    "JobConflictError",
    "JobDef",
    "JobFailed",
    "JobHandle",
    "JobNotFoundError",
    "JobPage",
    "JobProcessor",
    "JobProcessorError",
    "JobRequest",
    "JobStateError",
    "JobStatus",
    "JobSummary",
    "JobTimeoutError",
    "LogLine",
    "MigrationError",
    "MigrationReport",
    "MissingExtraError",
    "NotSetUpError",
    "Notes",
    "Output",
    "Pauses",
    "PayloadError",
    "ProcessDiedError",
    "Progress",
    "Retry",
    "RetryLater",
    "Rollup",
    "SearchLimitError",
    "SharedDatabaseError",
    "SimpleJob",
    "SkipMetadata",
    "Snooze",
    "StoreError",
    "StoreRefusedError",
    "StoreSetupError",
    "StoreUnavailableError",
    "SummaryPage",
    "UnknownJobError",
    "Vitals",
    "WorkerStateError",
    "init_job_processor",
]

_HOMES = {  # all others are errors
    "acting": "Acted",
    "abort": "AbortController AbortReason AbortSignal",
    "checking": "Finding",
    "clock": "Clock",
    "context": "Context",
    "crons": "CronInfo",
    "definitions": "CronDef JobDef",
    "events": "Event EventKind",
    "facade.handles": "JobHandle",
    "migration": "MigrationReport",
    "queries": "JobPage",
    "models": "Attempt Cron CronTask Job JobStatus Output SimpleJob SkipMetadata Vitals",
    "processor": "JobProcessor init_job_processor",
    "producer": "JobRequest",
    "notes": "LogLine Notes Progress",
    "pauses": "Pauses",
    "rollups": "Rollup",
    "summaries": "JobSummary SummaryPage",
    "retries": "Retry RetryLater Snooze",
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
