"""The dashboard: see and steer everything in a browser. Needs the extra `[web]`."""

from job_processor.web.access import Access, Login
from job_processor.web.app import create_app

__all__ = ["Access", "Login", "create_app"]
