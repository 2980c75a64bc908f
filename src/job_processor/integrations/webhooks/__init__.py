"""Webhooks as ordinary jobs: signed by the Standard Webhooks scheme, sent only where allowed.

What receives them verifies with `verify`, which needs no extra.
"""

from __future__ import annotations

from job_processor.integrations.webhooks.failures import (
    WebhookFailedError,
    WebhookRefusedError,
    WebhookVerificationError,
)
from job_processor.integrations.webhooks.jobs import WEBHOOK, Webhooks, webhook
from job_processor.integrations.webhooks.signatures import new_secret, verify

__all__ = [
    "WEBHOOK",
    "WebhookFailedError",
    "WebhookRefusedError",
    "WebhookVerificationError",
    "Webhooks",
    "new_secret",
    "verify",
    "webhook",
]
