"""Whether everything is as it should be."""

from __future__ import annotations

from job_processor.facade.base import Base
from job_processor.ops import check
from job_processor.ops.check import Finding


class Checking(Base):
    """What is asked before anything runs."""

    async def check(self) -> list[Finding]:
        """Return what there is to say of definitions, connection, indexes, clock and workers.

        Needs no `setup`. On MongoDB it changes nothing at all; an SQLite file that is there is
        opened, as by everybody. A database that does not answer is a finding, not an error.
        """
        return await check.check(self._store, self.registry, self.settings, self._clock)
