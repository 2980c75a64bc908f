"""A store behind a codec: what jobs hold is encoded on its way in, and decoded on its way out.

The one place through which payloads, results, states, steps and messages pass, whichever database
it is. Without a codec nothing of it is there.

What cannot be decoded stays as it was stored (see `values.is_sealed`): a job without its key can be
listed, killed and deleted, and fails where somebody asks for what it holds.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any, TypeAlias, cast

import bson
from bson.codec_options import CodecOptions

from job_processor.errors import CodecError
from job_processor.handlers.codecs import Codec
from job_processor.models import BaseJob, Message, Output, Step, make
from job_processor.store.base import Store
from job_processor.store.desks.desk import Desk
from job_processor.store.fresh import Fresh
from job_processor.store.groups import Callback, GroupRecord
from job_processor.store.lanes import Taken
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.schedules import Schedule
from job_processor.values import SEALED, Sealed, is_sealed

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
_KEPT = 1024  # outcomes whose encoded form is kept until they are written

Verb: TypeAlias = Callable[..., Awaitable[Any]]


class Opened(dict[str, Any]):
    """A decoded mapping, which knows what it was decoded from: it is stored again as that."""

    sealed: Any = None


class Coder:
    """Seals and opens values by a codec."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    async def seal(self, value: Any) -> Any:
        """Return what is stored in place of a value; None, and what is sealed, stay."""
        if value is None or is_sealed(value):
            return value
        if isinstance(value, Opened):
            return value.sealed
        data = await self.codec.encode(bson.encode({"v": value}))
        return value if data is None else {SEALED: data}

    async def open(self, value: Any) -> Any:
        """Return the value that was sealed; raises CodecError."""
        if not is_sealed(value):
            return value
        try:
            found = bson.decode(await self.codec.decode(bytes(value[SEALED] or b"")), _OPTIONS)["v"]
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(f"the codec failed: {type(error).__name__}") from error
        if isinstance(found, dict):
            found = Opened(found)
            found.sealed = value
        return found

    async def tried(self, value: Any) -> Any:
        """Return the value that was sealed, or, where it cannot be opened, what is stored."""
        try:
            return await self.open(value)
        except CodecError as error:
            kept = Sealed(value)
            kept.reason = error
            return kept

    # --- what is written ------------------------------------------------------------------------

    async def job_in(self, job: Any) -> Any:
        """Return a job as it is stored."""
        payload = getattr(job, "payload", None)
        return await _with(job, self.seal, payload, job.output, job.steps)

    async def step_in(self, step: Step) -> Step:
        """Return a step as it is stored."""
        return replace(step, result=await self.seal(step.result))

    async def callback_in(self, callback: Callback | None) -> Callback | None:
        """Return what follows a group as it is stored."""
        if callback is None:
            return None
        return replace(callback, payload=await self.seal(callback.payload))

    # --- what is read ---------------------------------------------------------------------------

    async def out(self, found: Any) -> Any:
        """Return what a verb has returned, with all of it opened that can be."""
        if isinstance(found, BaseJob):
            payload = getattr(found, "payload", None)
            return await _with(found, self.tried, payload, found.output, found.steps)
        if isinstance(found, list | Fresh):
            return list(await asyncio.gather(*map(self.out, found)))
        if isinstance(found, Taken):
            return replace(found, jobs=await self.out(found.jobs))
        if isinstance(found, Schedule):
            return replace(found, payload=await self.tried(found.payload))
        if isinstance(found, GroupRecord):
            then, catch = (
                await self._callback_out(found.then),
                await self._callback_out(found.catch),
            )
            return replace(found, then=then, catch=catch)
        return found

    async def _callback_out(self, callback: Callback | None) -> Callback | None:
        if callback is None:
            return None
        return replace(callback, payload=await self.tried(callback.payload))


async def _with(
    job: Any,
    through: Callable[[Any], Awaitable[Any]],
    payload: Any,
    output: Output | None,
    steps: tuple[Step, ...],
) -> Any:
    """Return a job whose values went through a function; the job itself where none changed."""
    changes: dict[str, Any] = {}
    if payload is not None:
        changes["payload"] = await through(payload)
    if output is not None and output.result is not None:
        changes["output"] = replace(output, result=await through(output.result))
    if any(step.result is not None for step in steps):
        changes["steps"] = tuple(
            [replace(step, result=await through(step.result)) for step in steps]
        )
    return make(type(job), {**job.__dict__, **changes}) if changes else job


class _Verbs:
    """The verbs that write values, each with how; all others only read."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._outcomes: OrderedDict[int, tuple[Outcome, Outcome]] = OrderedDict()
        """Encoded outcomes by the id of the plain one, which is beside it: a repetition after a
        lost reply has to write the very same."""
        self.before: Mapping[str, Callable[[Verb], Verb]] = {
            "intake.insert": self._of_jobs(0),
            "intake.insert_in": self._of_jobs(1),
            "intake.put": self._of_one(0, coder.job_in),
            "intake.replace": self._of_one(1, coder.job_in),
            "groups.open": self._of_one(0, self._group_in),
            "schedules.put": self._of_one(0, self._schedule_in),
            "schedules.advance": self._advance,
            "messages.put": self._of_one(0, self._message_in),
            "messages.put_in": self._of_one(1, self._message_in),
            "messages.find": self._find,
            "runs.save_state": self._of_one(1, coder.seal),
            "runs.save_step": self._of_one(1, coder.step_in),
            "runs.state": self._state,
            "runs.settle": self._settle,
        }

    def wrap(self, desk: Any, name: str, verb: Verb) -> Verb:
        """Return what is called in place of a verb."""
        made = self.before[name](verb) if name in self.before else verb
        if name == "history.delete":
            made = self._delete_of(desk, made)

        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._coder.out(await made(*arguments, **options))

        return call

    def _of_one(
        self, place: int, change: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[Verb], Verb]:
        def of(verb: Verb) -> Verb:
            async def call(*arguments: Any, **options: Any) -> Any:
                changed = list(arguments)
                changed[place] = await change(changed[place])
                return await verb(*changed, **options)

            return call

        return of

    def _of_jobs(self, place: int) -> Callable[[Verb], Verb]:
        async def change(jobs: Any) -> Any:
            return list(await asyncio.gather(*map(self._coder.job_in, jobs)))

        return self._of_one(place, change)

    async def _group_in(self, record: GroupRecord) -> GroupRecord:
        coder = self._coder
        then, catch = await coder.callback_in(record.then), await coder.callback_in(record.catch)
        return replace(record, then=then, catch=catch)

    async def _schedule_in(self, schedule: Schedule) -> Schedule:
        return replace(schedule, payload=await self._coder.seal(schedule.payload))

    async def _message_in(self, message: Message) -> Message:
        return replace(message, payload=await self._coder.seal(message.payload))

    def _advance(self, verb: Verb) -> Verb:
        async def call(moves: Any) -> Any:
            return await verb([(before, await self._schedule_in(after)) for before, after in moves])

        return call

    def _find(self, verb: Verb) -> Verb:
        async def call(*arguments: Any) -> Any:
            found = await verb(*arguments)
            return {
                topic: replace(message, payload=await self._coder.open(message.payload))
                for topic, message in found.items()
            }

        return call

    def _state(self, verb: Verb) -> Verb:
        async def call(*arguments: Any) -> Any:
            return await self._coder.open(await verb(*arguments))

        return call

    def _settle(self, verb: Verb) -> Verb:
        async def call(settlements: Any) -> Any:
            sent = [
                Settlement(each.job, await self._outcome(each.outcome), each.writer)
                for each in settlements
            ]
            verdict = await verb(sent)
            for each in settlements:
                self._outcomes.pop(id(each.outcome), None)
            return verdict

        return call

    async def _outcome(self, outcome: Outcome) -> Outcome:
        output = outcome.output
        if output is None or output.result is None:
            return outcome
        kept = self._outcomes.get(id(outcome))
        if kept is not None and kept[0] is outcome and kept[0].output is output:
            return kept[1]
        sealed = replace(
            outcome, output=replace(output, result=await self._coder.seal(output.result))
        )
        self._outcomes[id(outcome)] = (outcome, sealed)
        while len(self._outcomes) > _KEPT:
            self._outcomes.popitem(last=False)
        return sealed

    def _delete_of(self, history: Any, verb: Verb) -> Verb:
        """Let the codec go of what the jobs had that are deleted, once they are gone."""
        if type(self._coder.codec).discard is Codec.discard:
            return verb

        async def call(job_ids: Any) -> Any:
            before = {job.id: job for job in await history.get_many(job_ids)}
            gone = await verb(job_ids)
            for job_id in gone:
                if job_id in before:
                    await self._discard(before[job_id])
            return gone

        return call

    async def _discard(self, job: Any) -> None:
        values = [getattr(job, "payload", None), *(step.result for step in job.steps)]
        if job.output is not None:
            values.append(job.output.result)
        for value in values:
            if is_sealed(value):
                await self._coder.codec.discard(bytes(value[SEALED]))


class _Between:
    """Stands before a store, or a desk of it."""

    def __init__(self, before: Any, verbs: _Verbs, prefix: str = "") -> None:
        self.__dict__.update(_before=before, _verbs=verbs, _prefix=prefix)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._before, name)
        if isinstance(value, Desk):
            value = _Between(value, self._verbs, f"{name}.")
        elif name == "insert_here":  # it cannot wait for a codec
            return _takes_a_while
        elif self._prefix and inspect.iscoroutinefunction(value):
            value = self._verbs.wrap(self._before, self._prefix + name, value)
        else:
            return value
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._before, name, value)


def _takes_a_while(jobs: Any) -> None:
    del jobs


def coded(store: Store, codec: Codec | None) -> Store:
    """Return a store behind a codec; the store itself where there is none."""
    return store if codec is None else cast("Store", _Between(store, _Verbs(Coder(codec))))
