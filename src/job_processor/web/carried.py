"""What the application of a dashboard carries for its pages."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from job_processor.parts import Parts, ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.redaction import Redaction
from job_processor.store.summaries import SummaryPage
from job_processor.web.views import Views


def processor_of(request: Request) -> JobProcessor:
    """Return whose jobs it shows."""
    processor: JobProcessor = request.app.state.processor
    return processor


def parts_of(request: Request) -> Parts:
    """Return what that processor is made of."""
    return ready_parts_of(request.app.state.processor)


def redaction_of(request: Request) -> Redaction:
    """Return what leaves out what nobody is to read."""
    redaction: Redaction = request.app.state.redaction
    return redaction


def views_of(request: Request) -> Views:
    """Return what makes pages from templates."""
    views: Views = request.app.state.views
    return views


async def list_jobs(request: Request, **arguments: Any) -> SummaryPage:
    """Return a page for a list, with what nobody is to read left out."""
    return await processor_of(request).list_jobs(redaction=redaction_of(request), **arguments)
