"""What tests of the worker share."""

from __future__ import annotations

import pytest

from tests.worker.probe import Probe


@pytest.fixture
def probe() -> Probe:
    """A fresh probe."""
    return Probe()
