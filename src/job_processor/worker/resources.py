"""The resources of a process: what the lifespan of its processor yields, from its first run on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

from job_processor.errors import DefinitionError, LifespanError, NotSetUpError, WorkerStateError
from job_processor.handlers.current import of_job
from job_processor.handlers.resources import MISSING, Lifespan
from job_processor.hooks import Wrapper
from job_processor.settings import LIFESPAN_PATIENCE, Settings
from job_processor.tasks import cancel, in_thread
from job_processor.texts import told
from job_processor.worker.stopping import Budget

_CANCELLED_WITHIN = 1.0  # seconds that a lifespan which is cancelled has for its own end
_LEAST = 0.2  # seconds that its end has where nothing is left of the stop


class Resources:
    """Enters the lifespan for the first who needs it, and leaves it after the last.

    A worker, and a block of `JobProcessor.resources`, leave it at their end. After a `run_job` by
    itself it stays open for the next one, until the processor is closed.

    processor: what the lifespan gets. elsewhere: makes that in another process; it can be pickled.
    """

    def __init__(
        self,
        lifespan: Lifespan | None,
        processor: object,
        settings: Settings,
        logger: logging.Logger | Any,
        elsewhere: Callable[[], object] | None = None,
        wrap: Wrapper | None = None,
    ) -> None:
        self.lifespan = lifespan
        self.elsewhere = elsewhere
        self.value: Any = MISSING
        """What handlers get."""
        self.settings = settings
        self._processor = processor
        self._logger = logger
        self._wrap = wrap
        self._holders = 0
        self._runners = 0
        """Those of them that run jobs."""
        self._life: _Life | None = None
        self._changing = asyncio.Lock()
        self._closed = False

    async def hold(self, *, runs: bool = True) -> Any:
        """Return what the lifespan yields, which is entered unless it is already.

        Each call needs its `release`, one that raises, too. runs: for the sake of jobs. Raises
        LifespanError, WorkerStateError where the lifespan itself asks, and NotSetUpError.
        """
        self._holders += 1
        self._runners += runs
        self._check_open()
        if self.lifespan is None:
            return None
        if self.is_calling:
            raise WorkerStateError("the lifespan cannot run jobs, which need what it yields")
        async with self._changing:  # somebody may be about to leave it
            self._check_open()
            if self._life is None or self._life.ended:
                make = partial(self.lifespan, self._processor)
                name = named(self.lifespan)
                self._life = _Life(make, name, self._logger, self._is_in_use, self._wrap)
            life = self._life
        self.value = await life.entered()
        return self.value

    async def release(self, within: float, *, runs: bool = True, keep: bool = False) -> None:
        """Leave the lifespan, within so many seconds, unless somebody else holds it.

        keep: it stays open for whoever comes next.
        """
        self._holders -= 1
        self._runners -= runs
        if self.lifespan is None or self.is_calling:
            return
        async with self._changing:
            life = self._life
            if life is None or self._holders or (keep and life.is_open):
                return
            await self._leave(life, within)

    def refuse(self) -> None:
        """Let nobody hold it any more: the processor is being closed."""
        self._closed = True

    async def close(self) -> None:
        """Leave the lifespan, whoever holds it."""
        async with self._changing:
            if self._life is not None:
                await self._leave(self._life, Budget.forced(self.settings).for_lifespan)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Any]:
        """Hold it for the time of a block, for its own sake."""
        try:
            yield await self.hold(runs=False)
        finally:
            await self.release(Budget.graceful(self.settings).for_lifespan, runs=False)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Hold it for a job that is run here and now; it stays open for the next one."""
        try:
            await self.hold()
            yield
        finally:
            await self.release(Budget.forced(self.settings).for_lifespan, keep=True)

    async def broken(self) -> None:
        """Raise WorkerStateError when the lifespan is cancelled from inside, as by a task group."""
        life = self._life
        assert life is not None  # noqa: S101  # only called while it is held
        await life.broken.wait()
        raise WorkerStateError(f"the lifespan {life.name} was cancelled, as by a task of its own")

    async def _leave(self, life: _Life, within: float) -> None:
        try:
            await life.leave(max(within, _LEAST))
        finally:
            self._life, self.value = None, MISSING

    @property
    def is_calling(self) -> bool:
        """True where the lifespan itself runs, which would wait for itself."""
        return self._life is not None and self._life.is_calling

    def _check_open(self) -> None:
        if self._closed:
            raise NotSetUpError("the processor is being closed")

    def _is_in_use(self) -> bool:
        return self._runners > 0


class _Life:
    """One time from entering a lifespan to leaving it, in a task of its own.

    What has a task group or a timeout in it must be left by the task that entered it.
    """

    def __init__(
        self,
        make: Callable[[], object],
        name: str,
        logger: logging.Logger | Any,
        is_in_use: Callable[[], bool],
        wrap: Wrapper | None,
    ) -> None:
        self.name = name
        self.broken = asyncio.Event()
        """Set once it was cancelled before it was to end."""
        self._make = make
        self._logger = logger
        self._is_in_use = is_in_use
        self._told = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._entered: asyncio.Future[Any] = loop.create_future()
        with of_job(None):  # it is nobody's, even where a handler was the first to need it
            self._task = loop.create_task(self._run(wrap), name="job-processor lifespan")

    @property
    def ended(self) -> bool:
        """True once it has failed, or was left."""
        return self._task.done()

    @property
    def is_open(self) -> bool:
        """True while it is entered, and not broken."""
        return not self.ended and self._entered.done() and not self.broken.is_set()

    @property
    def is_calling(self) -> bool:
        """True in the task of the lifespan."""
        return asyncio.current_task() is self._task

    async def entered(self) -> Any:
        """Return what it yields; raise LifespanError."""
        await asyncio.wait([self._entered])
        return self._entered.result()

    async def leave(self, within: float) -> None:
        """Let it end; it is cancelled where it does not, and then left alone."""
        if not self._entered.done():
            self._task.cancel()
        self._told.set()
        spare = min(_CANCELLED_WITHIN, within / 2)
        await asyncio.wait([self._task], timeout=within - spare)
        if self._task.done():
            return
        text = "the lifespan %s did not end within %.1f s: it is cancelled"
        self._logger.error(text, self.name, within - spare)
        if await cancel([self._task], spare):
            self._logger.error("the lifespan %s does not end: it is left alone", self.name)

    async def _run(self, wrap: Wrapper | None) -> None:
        """Live inside of what integrations put around calls; whatever fails is told."""
        try:
            await (self._live if wrap is None else wrap(self._live, True))()
        except BaseException as error:  # it is somebody else's, and ends nothing here
            if not self._entered.done():
                self._fail(error)
            elif not isinstance(error, asyncio.CancelledError):  # by `leave`, which says so
                text = "the lifespan %s failed as it was left"
                self._logger.error(text, self.name, exc_info=_shortened(error))  # noqa: TRY400  # it is

    async def _live(self) -> None:
        manager = self._managed()
        self._entered.set_result(await self._enter(manager))
        await self._until_told()
        await self._exit(manager)

    def _managed(self) -> Any:
        manager = self._make()
        if isinstance(manager, AbstractAsyncContextManager | AbstractContextManager):
            return manager
        allowed = "allowed is what returns a context manager: write @asynccontextmanager over it"
        raise DefinitionError("lifespan", self.name, allowed)

    async def _enter(self, manager: Any) -> Any:
        slow = asyncio.get_running_loop().call_later(LIFESPAN_PATIENCE, self._warn)
        try:
            if isinstance(manager, AbstractAsyncContextManager):
                return await manager.__aenter__()
            return await in_thread(manager.__enter__, "job-processor-lifespan")
        finally:
            slow.cancel()

    async def _until_told(self) -> None:
        """Wait until it is to end; cancelled before, it first lets the runs end that need it."""
        while not self._told.is_set():
            try:
                await self._told.wait()
            except asyncio.CancelledError:
                self.broken.set()
                if not self._is_in_use():
                    return

    async def _exit(self, manager: Any) -> None:
        if isinstance(manager, AbstractAsyncContextManager):
            await manager.__aexit__(None, None, None)
        else:
            leave = partial(manager.__exit__, None, None, None)
            await in_thread(leave, "job-processor-lifespan")

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            how = "was cancelled as it was entered"
        else:
            how = f"failed as it was entered: {type(error).__name__}: {told(error, 500)}"
        failure = LifespanError(f"the lifespan {self.name} {how}")
        failure.__cause__ = _shortened(error)
        self._entered.set_exception(failure)
        self._entered.exception()  # seen: whoever waits may have been cancelled

    def _warn(self) -> None:
        text = "the lifespan %s is being entered for %.0f s now; nothing is run before it yields"
        self._logger.warning(text, self.name, LIFESPAN_PATIENCE)


def _shortened(error: BaseException) -> BaseException:
    """Return an error whose traceback begins where the lifespan was called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return error.with_traceback(trace)


def named(lifespan: Lifespan) -> str:
    """Return the name of a lifespan, for people."""
    name = getattr(lifespan, "__qualname__", type(lifespan).__qualname__)
    module = getattr(lifespan, "__module__", None)
    return name if module is None else f"{module}.{name}"
