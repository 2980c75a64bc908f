"""`worker --processes N`: keeps N worker processes running."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from signal import SIGINT, SIGKILL, SIGTERM, Signals

from job_processor.cli.app.failing import BAD_INPUT, DONE, FAILED
from job_processor.cli.supervise.child import Child, first_of, how
from job_processor.cli.supervise.signals import obeyed
from job_processor.tasks import set_within

CRASHES_AT_START = 5
"""Crashes in a row, each before the process was ready, after which it is hopeless."""
_PAUSE_MIN, _PAUSE_MAX = 0.5, 30.0  # seconds before a crashed process is started again
_STABLE = 60.0  # seconds after which a crash counts as the first one again


@dataclass(slots=True)
class _Slot:
    """One of the N, whichever process fills it."""

    number: int
    arguments: Sequence[str]
    child: Child | None = None
    crashes: int = 0
    """In a row; a process that lived for a while begins a new one."""
    stillborn: int = 0
    """In a row, before it was ready."""


@dataclass(slots=True)
class Supervisor:
    """Starts worker processes, restarts those that crash, and passes signals on.

    arguments: those of each process. The others are started once the first one is ready, so that
        bad input is told once. One that ends with 0 was meant to and is not started again.
    """

    arguments: Sequence[Sequence[str]]
    logger: logging.Logger
    _slots: list[_Slot] = field(init=False)
    _stopping: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _worked: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    """Set once any of them was ready."""
    _interrupts: int = field(init=False, default=0)
    _verdict: int | None = field(init=False, default=None)
    """The exit code of giving up."""

    def __post_init__(self) -> None:
        self._slots = [_Slot(number, each) for number, each in enumerate(self.arguments, 1)]

    async def run(self) -> int:
        """Return the exit code once all have ended: 0 when each did as it was meant to."""
        with obeyed(self._on_signal):
            first, *others = self._slots
            keeping = [asyncio.create_task(self._keep(first))]
            await first_of(keeping[0], self._worked)
            if self._worked.is_set():
                keeping += [asyncio.create_task(self._keep(slot)) for slot in others]
            codes = await asyncio.gather(*keeping)
        if self._verdict is not None:
            return self._verdict
        return DONE if all(code == DONE for code in codes) else FAILED

    async def _keep(self, slot: _Slot) -> int:
        """Run a process, and another one after each crash; return how the last one ended."""
        while True:
            code = await self._run_one(slot)
            if code == DONE or self._stopping.is_set():
                return code
            if self._is_hopeless(slot, code):
                return code
            pause = min(_PAUSE_MIN * 2 ** (slot.crashes - 1), _PAUSE_MAX) * random.uniform(0.8, 1)
            text = "process %d %s; it is started again in %.1f s"
            self.logger.warning(text, slot.number, how(code), pause)
            if await set_within(self._stopping, pause):
                return code

    async def _run_one(self, slot: _Slot) -> int:
        if self._stopping.is_set():
            return DONE
        began = time.monotonic()
        slot.child = child = await Child.start(slot.arguments)
        if self._stopping.is_set():  # the signal came while it was started
            child.send(SIGTERM)
        if await child.until_ready():
            slot.stillborn = 0
            self._worked.set()
            self.logger.info("process %d works (pid %d)", slot.number, child.pid)
        code = await child.until_ended(self._stopping)
        slot.child = None
        if child.killed:
            self.logger.error("process %d did not stop in its time: it was killed", slot.number)
        if self._stopping.is_set() and not child.ready and code in (-SIGTERM, -SIGINT):
            return DONE  # it had not begun
        slot.crashes = 1 if time.monotonic() - began > _STABLE else slot.crashes + 1
        slot.stillborn += not child.ready
        return code

    def _is_hopeless(self, slot: _Slot, code: int) -> bool:
        """Give up when nothing has ever worked, and another start would not help."""
        begun = [each for each in self._slots if each.child is not None or each.crashes]
        if code == BAD_INPUT and not self._worked.is_set():
            self._give_up(BAD_INPUT)  # it has said why
        elif all(each.stillborn >= CRASHES_AT_START for each in begun):
            self.logger.critical(
                "giving up: each process crashes at its start, %d times in a row; process %d %s",
                CRASHES_AT_START,
                slot.number,
                how(code),
            )
            self._give_up(FAILED)
        return self._verdict is not None

    def _give_up(self, code: int) -> None:
        self._verdict = code
        self._stop(SIGTERM)

    # --- signals --------------------------------------------------------------------------------

    def _on_signal(self, number: Signals) -> None:
        """Pass a signal on: the first stops, a second SIGINT forces, a third leaves at once."""
        if self._stopping.is_set() and number is SIGINT:
            self._interrupts += 1
        if self._interrupts > 1:
            self.logger.warning("%s: ending all processes at once", number.name)
            number = SIGKILL
        elif not self._stopping.is_set():
            self.logger.warning("%s: stopping %d processes", number.name, self._living)
        self._stop(number)

    def _stop(self, number: Signals) -> None:
        self._stopping.set()
        for slot in self._slots:
            if slot.child is not None:
                slot.child.send(number)

    @property
    def _living(self) -> int:
        return sum(slot.child is not None for slot in self._slots)
