"""What a command left behind, and what holds for every failure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on stdout, of a command that succeeded and said nothing else."""
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """What a command that succeeded printed."""
        assert (self.code, self.err) == (0, "")
        return self.out

    def refused(self, *parts: str, code: int = 2) -> None:
        """It failed with this code and one line on stderr that has all of `parts`."""
        assert (self.code, self.out) == (code, "")
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("Error: ")
        assert self.err.rstrip("\n").isprintable()
        for part in parts:
            assert part in self.err
        for python in ("None", "ObjectId", "AsyncDatabase", "datetime", "Traceback", "mapping"):
            assert python not in self.err.replace("(None)", "")
