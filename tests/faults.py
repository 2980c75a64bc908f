"""A store whose verbs go wrong as they are told to: the same faults on every database."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from bson import ObjectId

from job_processor import JobProcessor, StoreError, StoreRefusedError, StoreUnavailableError
from job_processor.store import Store
from job_processor.store.requests import Settlement, Verdict
from tests.desks import Between, Verb
from tests.insides import put_store, store_of

Call: TypeAlias = Callable[[], Awaitable[Any]]
Fault: TypeAlias = Callable[[Call], Awaitable[Any]]

ERRORS: dict[str, Callable[[], Exception]] = {
    "unavailable": lambda: StoreUnavailableError("does not answer"),
    "unknown to us": lambda: StoreError("failed: something new (code 999999)"),
    "of the driver": lambda: RuntimeError("a driver's own"),
    "of an encoding": lambda: UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates"),
    "too deep": lambda: RecursionError("maximum recursion depth exceeded"),
    "out of memory": MemoryError,
    "of the system": lambda: OSError(24, "Too many open files"),
    "a mistake": lambda: KeyError("status"),
}
"""What a call may raise without anybody knowing whether it happened."""


def lost(error: Callable[[], Exception] = ERRORS["unavailable"]) -> Fault:
    """Let it happen, and lose the answer."""

    async def fault(call: Call) -> Any:
        await call()
        raise error()

    return fault


def failed(error: Callable[[], Exception] = ERRORS["unavailable"]) -> Fault:
    """Fail before anything happened."""

    async def fault(call: Call) -> Any:
        raise error()

    return fault


def held_up(until: asyncio.Event) -> Fault:
    """Let it happen later."""

    async def fault(call: Call) -> Any:
        await until.wait()
        return await call()

    return fault


class Faulty:
    """Stands before a store; counts each verb's calls, and lets the next of them go wrong."""

    def __init__(self, store: Store) -> None:
        self.behind = store
        """Where nothing goes wrong."""
        self.calls: Counter[str] = Counter()
        self.settled: list[int] = []
        """How many outcomes each `runs.settle` was given."""
        self.refuses: Callable[[Settlement], bool] | None = None
        """True for settlements that are refused, as a validator refuses a document."""
        self.breaks: Callable[[Settlement], Exception | None] | None = None
        """What a whole batch raises, where one of it is this settlement."""
        self._next: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}

    @property
    def store(self) -> Store:
        """What stands before the store, as the store."""
        return cast(Store, Between(self.behind, self._through))

    def next(self, verb: str, *faults: Fault) -> None:
        """Let the next calls of a verb go wrong, each in its way."""
        self._next[verb].extend(faults)

    def always(self, verb: str, fault: Fault | None) -> None:
        """Let all further calls of a verb go wrong; None: let them succeed again."""
        if fault is None:
            del self._always[verb]
        else:
            self._always[verb] = fault

    def _through(self, name: str, call: Verb) -> Verb:
        call = self._settle if name == "runs.settle" else call

        async def verb(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            fault = self._next[name].popleft() if self._next[name] else self._always.get(name)
            if fault is None:
                return await call(*arguments, **named)
            return await fault(lambda: call(*arguments, **named))

        return verb

    async def _settle(self, settlements: Sequence[Settlement]) -> Verdict:
        self.settled.append(len(settlements))
        for each in settlements:
            error = self.breaks(each) if self.breaks else None
            if error is not None:
                raise error
        refused: dict[ObjectId, str] = {
            each.job.id: "refused by a test"
            for each in settlements
            if self.refuses and self.refuses(each)
        }
        verdict = await self.behind.runs.settle([s for s in settlements if s.job.id not in refused])
        return Verdict(verdict.won, {**verdict.refused, **refused})


def faulty(processor: JobProcessor) -> Faulty:
    """Stand before the store of a processor that is not set up yet."""
    fault = Faulty(store_of(processor))
    put_store(processor, fault.store)
    return fault


def refusal() -> StoreRefusedError:
    """Return the error for input that can never be stored."""
    return StoreRefusedError("cannot store this")
