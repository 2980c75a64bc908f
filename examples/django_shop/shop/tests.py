from django.core.management import call_command
from django.test import TestCase, TransactionTestCase

from job_processor.integrations.django import forget_jobs
from shop.models import Order


class WhatIsOrdered(TransactionTestCase):
    """With real commits, so that handlers in threads see what a view has written."""

    def setUp(self):
        forget_jobs()

    def test_an_order_is_confirmed(self):
        self.client.post("/orders", {"customer": "Ada"})
        call_command("job_processor", "worker", "--burst")
        assert Order.objects.get().confirmed


class WhatIsRefused(TestCase):
    """In a transaction that is rolled back: what would follow its commit is caught."""

    def test_there_is_no_job(self):
        with self.captureOnCommitCallbacks() as callbacks:
            self.client.post("/orders", {"customer": "Bob", "card": "refused"})
        assert callbacks == []
