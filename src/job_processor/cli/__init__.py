"""The command line: `job-processor`, or `python -m job_processor`."""

from job_processor.cli.app import main

__all__ = ["main"]
