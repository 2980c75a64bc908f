"""Linux tells when a file is written: the few calls of its inotify that we need."""

from __future__ import annotations

import os
from pathlib import Path

_MODIFY = 0x2
_ATTRIB = 0x4  # also when the file is deleted while somebody has it open
_DELETE_SELF = 0x400
_MOVE_SELF = 0x800
_EVENTS = _MODIFY | _ATTRIB | _DELETE_SELF | _MOVE_SELF
_BUFFER = 4096  # bytes; holds 256 events of a watched file


class Inotify:
    """A descriptor that becomes readable when a watched file changes. Raises OSError."""

    def __init__(self) -> None:
        import ctypes  # noqa: PLC0415  # only a process that watches pays for it

        # The library that Python runs on; looking it up by name would start other programs.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._errno = ctypes.get_errno
        self.fd = self._check(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def watch(self, path: Path) -> None:
        """Watch the file that is at `path` now, until it is gone."""
        self._check(self._libc.inotify_add_watch(self.fd, os.fsencode(path), _EVENTS))

    def drain(self) -> None:
        """Take what happened, so that the next change is told again."""
        try:
            while len(os.read(self.fd, _BUFFER)) > _BUFFER // 2:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    def _check(self, result: int) -> int:
        if result < 0:
            code = self._errno()
            raise OSError(code, os.strerror(code))
        return result
