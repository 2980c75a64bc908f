"""The inside of a worker process that a supervisor keeps."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from signal import SIGTERM

from job_processor.cli.app.failing import FAILED
from job_processor.events import Event, EventKind
from job_processor.processor import JobProcessor
from job_processor.settings import graceful_stop_seconds

_LINGER = 25.0  # seconds beyond its stop after which an orphaned process leaves by force


class Tie:
    """Our end of a socket to the supervisor, which alone holds the other: when that ends, we do."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)  # a program that a handler starts shall not hold it
        self._seconds = 0.0

    def tell_ready_of(self, processor: JobProcessor) -> None:
        """Tell the supervisor once this processor's worker is registered and runs jobs.

        What it tells is how many seconds its stop may take.
        """
        self._seconds = graceful_stop_seconds(processor.settings)

        def tell(event: Event) -> None:
            if event.kind is EventKind.WORKER_STARTED:
                with contextlib.suppress(OSError):  # the watch sees to a supervisor that is gone
                    self._socket.send(f"{self._seconds:.1f}\n".encode())

        processor.listen(tell)

    def watch(self, logger: logging.Logger) -> None:
        """Stop gracefully, as by SIGTERM, when the supervisor is gone; in a thread of its own."""
        threading.Thread(target=self._watch, args=(logger,), daemon=True, name="tie").start()

    def _watch(self, logger: logging.Logger) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(1):
                pass
        logger.warning("the supervisor is gone")
        os.kill(os.getpid(), SIGTERM)
        time.sleep(self._seconds + _LINGER)
        logger.critical("leaving by force: the stop did not come to its end")
        os._exit(FAILED)
