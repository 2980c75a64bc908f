"""What tests see of a processor beyond its public face: all such looks stand here."""

from __future__ import annotations

from dataclasses import replace

from job_processor import Clock, JobProcessor
from job_processor.parts import parts_of
from job_processor.store import Store
from job_processor.worker.engine import Engine


def store_of(processor: JobProcessor) -> Store:
    """Return its store: to find what no public verb tells, or to do what another worker would."""
    return parts_of(processor).store


def clock_of(processor: JobProcessor) -> Clock:
    """Return its clock."""
    return parts_of(processor).clock


def engine_of(processor: JobProcessor) -> Engine:
    """Return what its runs go through; raises NotSetUpError unless it is set up."""
    return processor._engine


def put_store(processor: JobProcessor, store: Store) -> None:
    """Let it use another store from now on, such as one that fails."""
    processor._parts = replace(parts_of(processor), store=store)
