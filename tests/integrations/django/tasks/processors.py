"""Processors of an application's own, for the option `PROCESSOR`."""

from __future__ import annotations

from job_processor import JobProcessor

reports = JobProcessor("sqlite:///never-made.db", service="reports")
in_memory = JobProcessor("sqlite://")
