"""The metrics of a worker, for Prometheus to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from job_processor.cli.reading import read_number
from job_processor.errors import InvalidArgumentError
from job_processor.host import Integration
from job_processor.integrations.prometheus import Prometheus, serve

_LAST_PORT = 65535


@contextmanager
def served(text: str) -> Iterator[list[Integration]]:
    """Serve the metrics on a port for the time of the block; give what is to be installed.

    It is what the usual registry holds: the application's own metrics, too, and nothing twice when
    the application has installed the integration itself. Raises InvalidArgumentError, for a port
    that is taken, too.
    """
    port = read_number("--metrics-port", text)
    if not 0 <= port <= _LAST_PORT:
        allowed = f"allowed are 1 to {_LAST_PORT}, and 0 for any that is free"
        raise InvalidArgumentError("--metrics-port", text, allowed)
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
