"""The move from the Node package to ours."""

from __future__ import annotations

from job_processor.errors import InvalidArgumentError
from job_processor.facade.base import Base
from job_processor.node import migration
from job_processor.node.migration import MigrationReport


class Moving(Base):
    """What is done once, before or after `setup`."""

    async def migrate_from_node(
        self, *, apply: bool = False, undo: bool = False
    ) -> MigrationReport:
        """Report what a database of the Node package holds, and what a move would change in it.

        apply: make those changes; twice is harmless. While a worker of the Node package lives, its
            crons and its validator are left to it.
        undo: put the Node package's validator back.

        Needs no `setup`, and without either changes nothing at all. Raises MigrationError when
        something stands in the way, InvalidArgumentError for another database than MongoDB.
        """
        if apply and undo:
            raise InvalidArgumentError("undo", undo, "allowed is one of apply and undo")
        if apply:
            return await migration.migrate(self._store)
        if undo:
            return await migration.undo(self._store)
        return await migration.look(self._store)
