"""`worker` with `--processes` or `--reload`: a supervisor in the place of a worker."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

from job_processor.cli.app.extras import require
from job_processor.cli.supervise import event_loop, logs
from job_processor.cli.supervise.options import WorkerOptions
from job_processor.errors import InvalidArgumentError


def run(spec: str, options: WorkerOptions, *, processes: int, reload: bool) -> int:
    """Keep workers running until they are told to stop; return the exit code."""
    event_loop.read_loop(options.loop)  # refused once, not by each process
    if reload:
        _check_reload(processes)
    if options.metrics_port is not None:
        require("prometheus", "--metrics-port")
    places = options.places(processes)
    for place in places:
        if place is not None:
            _check_free(*place)
    logs.configure(options.level, None, options.format, one_of_many=True)
    logger = logging.getLogger("job_processor")
    arguments = [[spec, *options.arguments(place)] for place in places]
    if reload:
        from job_processor.cli.supervise.reloader import Reloader  # noqa: PLC0415  # an extra

        return asyncio.run(Reloader(arguments[0], Path.cwd(), logger).run())
    from job_processor.cli.supervise.supervisor import Supervisor  # noqa: PLC0415  # only then

    return asyncio.run(Supervisor(arguments, logger).run())


def _check_reload(processes: int) -> None:
    if processes > 1:
        allowed = "allowed with --reload is one process"
        raise InvalidArgumentError("--processes", processes, allowed)
    require("reload", "--reload")


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken, or an address that is not ours, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            allowed = f"it cannot be listened on: {error.strerror}"
            raise InvalidArgumentError("--metrics-port", f"{host}:{port}", allowed) from error
