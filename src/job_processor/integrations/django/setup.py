"""Sets Django up as it is imported, where that has not been done.

In the processes of handlers, before their own modules; and for the command line, which finds the
processor here: `job-processor worker job_processor.integrations.django.setup:get_processor`.
"""

from __future__ import annotations

import django
from django.apps import apps

from job_processor.integrations.django.project import get_processor

__all__ = ["get_processor"]

if not apps.ready:
    django.setup()
