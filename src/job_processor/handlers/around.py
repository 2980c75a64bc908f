"""What stands around a handler: context managers that are entered for each run of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
)
from dataclasses import dataclass
from typing import Any, TypeAlias

from job_processor.errors import DefinitionError
from job_processor.handlers.resources import called

Around: TypeAlias = Callable[
    ..., AbstractAsyncContextManager[object] | AbstractContextManager[object]
]
"""Returns a context manager for a job; a function with `@asynccontextmanager`, for example. A
parameter named `resources` gets those of the processor."""


@dataclass(frozen=True, slots=True)
class Managers:
    """What stands around one run: entered in order, those in the event loop first."""

    in_loop: list[AbstractAsyncContextManager[object, bool]]
    plain: list[AbstractContextManager[object, bool]]
    """Entered where the handler runs: in its thread, for a plain one."""

    @classmethod
    def of(
        cls,
        arounds: Sequence[Around],
        job: Any,
        resources: Any = None,
        asking: Sequence[Around] = (),
    ) -> Managers:
        """Return those of a job; raises DefinitionError for what is none.

        asking: those that take the resources, too.
        """
        managers = cls([], [])
        for around in arounds:
            manager: Any = called(around, job, resources, asking)
            if isinstance(manager, AbstractAsyncContextManager):
                managers.in_loop.append(manager)
            elif isinstance(manager, AbstractContextManager):
                managers.plain.append(manager)
            else:
                allowed = "allowed is what returns a context manager"
                raise DefinitionError("around", around, allowed)
        return managers

    async def hold(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `call` returns inside of those in the loop.

        What it raises passes through them, as in `async with`; None where one of them takes it.
        """
        stack: AsyncExitStack[bool] = AsyncExitStack()
        async with stack:
            for manager in self.in_loop:
                await stack.enter_async_context(manager)
            return await call()
        return None

    def run(self, call: Callable[[], Any]) -> Any:
        """Return what `call` returns inside of the plain ones; None where one takes its error."""
        stack: ExitStack[bool] = ExitStack()
        with stack:
            for manager in self.plain:
                stack.enter_context(manager)
            return call()
        return None

    async def run_async(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Do the same with what is awaited."""
        stack: ExitStack[bool] = ExitStack()
        with stack:
            for manager in self.plain:
                stack.enter_context(manager)
            return await call()
        return None
