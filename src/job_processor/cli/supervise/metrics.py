"""The metrics of a worker, for Prometheus to fetch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from job_processor.cli.supervise.options import read_place
from job_processor.errors import InvalidArgumentError
from job_processor.hooks import Integration
from job_processor.integrations.exposition import serve
from job_processor.integrations.prometheus import Prometheus
from job_processor.integrations.scaling import ScalingDoor


@contextmanager
def served(text: str) -> Iterator[list[Integration]]:
    """Serve the metrics on a port for the time of the block; give what is to be installed.

    It is what the usual registry holds: the application's own metrics, too, and nothing twice when
    the application has installed the integration itself. Raises InvalidArgumentError, for a port
    that is taken, too. The log says where it is.
    """
    host, port = read_place(text)
    scaling = ScalingDoor()
    integrations: list[Integration] = [scaling]
    with suppress(ValueError):  # the application has one
        integrations.append(Prometheus())
    with ExitStack() as stack:
        try:
            port = stack.enter_context(serve(port, host=host, scaling=scaling.answer))
        except OSError as error:
            allowed = f"it cannot be listened on: {error.strerror}"
            raise InvalidArgumentError("--metrics-port", text, allowed) from error
        name = f"[{host}]" if ":" in host else host
        logging.getLogger("job_processor").info("metrics are at http://%s:%d/metrics", name, port)
        yield integrations
