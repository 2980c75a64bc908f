"""The command line: `job-processor`, or `python -m job_processor`."""

from job_processor.cli.app.main import main

__all__ = ["main"]
