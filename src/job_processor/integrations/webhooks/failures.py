"""What goes wrong with a webhook, on the way out and where it comes in."""

from __future__ import annotations

from job_processor.errors import JobProcessorError


class WebhookFailedError(JobProcessorError):
    """A webhook was not delivered; it is retried."""


class WebhookRefusedError(JobProcessorError):
    """A webhook may not be sent to its address, or was refused there; it is not retried."""


class WebhookVerificationError(JobProcessorError, ValueError):
    """A request is not a webhook signed with one of these secrets, or it is too old."""
