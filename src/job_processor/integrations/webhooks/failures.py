"""What goes wrong with a webhook, on the way out and where it comes in."""

from __future__ import annotations

from job_processor.errors import JobProcessorError


class WebhookFailedError(JobProcessorError):
    """A webhook did not arrive, or was not taken; it is tried again."""


class WebhookRefusedError(JobProcessorError):
    """A webhook may not go where it was to go, or is not wanted there; it is not tried again."""


class WebhookVerificationError(JobProcessorError, ValueError):
    """A request is no webhook that one of these secrets has signed, or is not of now."""
