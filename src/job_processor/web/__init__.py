"""The dashboard: see and steer everything in a browser. Needs the extra `[web]`."""

from job_processor.web.access import Access, Login
from job_processor.web.app import create_app
from job_processor.web.guard import OpenDashboardWarning

__all__ = ["Access", "Login", "OpenDashboardWarning", "create_app"]
