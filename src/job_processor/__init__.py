"""Background jobs and crons for Python applications, on MongoDB or an embedded SQLite file."""

from job_processor.abort import AbortController, AbortReason, AbortSignal
from job_processor.clock import Clock
from job_processor.definitions import CronDef, JobDef, Retry
from job_processor.errors import (
    AbortedError,
    DefinitionError,
    InvalidArgumentError,
    JobConflictError,
    JobNotFoundError,
    JobProcessorError,
    JobTimeoutError,
    NotSetUpError,
    PayloadError,
    StoreError,
    StoreSetupError,
    StoreUnavailableError,
    UnknownJobError,
    WorkerStateError,
)
from job_processor.events import Event, EventKind
from job_processor.models import (
    Cron,
    CronTask,
    Job,
    JobPage,
    JobStatus,
    Output,
    SimpleJob,
    SkipMetadata,
)
from job_processor.processor import JobProcessor, init_job_processor

__all__ = [
    "AbortController",
    "AbortReason",
    "AbortSignal",
    "AbortedError",
    "Clock",
    "Cron",
    "CronDef",
    "CronTask",
    "DefinitionError",
    "Event",
    "EventKind",
    "InvalidArgumentError",
    "Job",
    "JobConflictError",
    "JobDef",
    "JobNotFoundError",
    "JobPage",
    "JobProcessor",
    "JobProcessorError",
    "JobStatus",
    "JobTimeoutError",
    "NotSetUpError",
    "Output",
    "PayloadError",
    "Retry",
    "SimpleJob",
    "SkipMetadata",
    "StoreError",
    "StoreSetupError",
    "StoreUnavailableError",
    "UnknownJobError",
    "WorkerStateError",
    "init_job_processor",
]
