"""Durable steps: what a handler does once, however often its job is run, its sleeps and waits.

A step that has ended is kept in the job, and later runs get its result from there. Whatever stands
between the steps runs again each time. A sleep is a step that keeps until when; the handler leaves,
and its job is claimed again when that has come. A wait for a message is both: it keeps until when,
and then what came.
"""

from __future__ import annotations

from job_processor.handlers.steps.steps import Steps
from job_processor.handlers.steps.suspension import Suspended, suspension_of

__all__ = ["Steps", "Suspended", "suspension_of"]
