"""The metrics of a worker, for Prometheus to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from job_processor.cli.worker_options import read_port
from job_processor.errors import InvalidArgumentError
from job_processor.host import Integration
from job_processor.integrations.prometheus import Prometheus, serve


@contextmanager
def served(text: str) -> Iterator[list[Integration]]:
    """Serve the metrics on a port for the time of the block; give what is to be installed.

    It is what the usual registry holds: the application's own metrics, too, and nothing twice when
    the application has installed the integration itself. Raises InvalidArgumentError, for a port
    that is taken, too.
    """
    port = read_port(text)
    try:
        integrations: list[Integration] = [Prometheus()]
    except ValueError:  # the application has one
        integrations = []
    with ExitStack() as stack:
        try:
            stack.enter_context(serve(port))
        except OSError as error:
            allowed = f"it cannot be listened on: {error.strerror}"
            raise InvalidArgumentError("--metrics-port", text, allowed) from error
        yield integrations
