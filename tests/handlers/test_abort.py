"""AbortSignal and AbortController."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from job_processor import AbortController, AbortedError, InvalidArgumentError
from tests.processors import WAIT


def test_a_signal_tells_that_and_why_it_was_aborted() -> None:
    """`aborted` and `reason` are False and None before, and the first abort's after."""
    controller = AbortController()
    signal = controller.signal
    assert (signal.aborted, signal.reason) == (False, None)
    signal.raise_if_aborted()
    controller.abort("enough")
    controller.abort("later")
    assert (signal.aborted, signal.reason) == (True, "enough")
    with pytest.raises(AbortedError, match="enough"):
        signal.raise_if_aborted()


async def test_wait_is_woken_from_another_thread() -> None:
    """`await signal.wait()` returns when any thread aborts, and at once when aborted already."""
    controller = AbortController()
    waiter = asyncio.create_task(controller.signal.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    thread = threading.Thread(target=controller.abort)
    thread.start()
    await asyncio.wait_for(waiter, WAIT)
    await asyncio.wait_for(controller.signal.wait(), WAIT)
    thread.join()


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    """A waiter that was cancelled is not called by a later abort."""
    controller = AbortController()
    waiter = asyncio.create_task(controller.signal.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not controller.signal._callbacks  # a leak has no public face
    controller.abort()


def test_a_callback_runs_once_and_can_be_taken_back() -> None:
    """`on_abort` calls back once; a callback taken back is not called; a late one is at once."""
    controller = AbortController()
    calls: list[str] = []
    controller.signal.on_abort(lambda: calls.append("kept"))
    forget = controller.signal.on_abort(lambda: calls.append("taken back"))
    forget()
    forget()
    controller.abort()
    controller.abort()
    assert calls == ["kept"]
    controller.signal.on_abort(lambda: calls.append("late"))
    assert calls == ["kept", "late"]


async def test_waiting_outlives_a_closed_loop() -> None:
    """Aborting after a waiter's loop was closed does no harm."""
    controller = AbortController()

    def wait_in_a_loop_of_its_own() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(controller.signal.wait())
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(wait_in_a_loop_of_its_own)
    controller.abort()
    assert controller.signal.aborted


@pytest.mark.parametrize("error", [ProcessLookupError(), SystemExit(1), KeyboardInterrupt()])
def test_a_callback_that_raises_stops_nobody(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is logged; the others are called, and whoever aborts goes on."""
    controller = AbortController()
    calls: list[str] = []

    def fails() -> None:
        raise error

    controller.signal.on_abort(fails)
    controller.signal.on_abort(lambda: calls.append("other"))
    controller.abort()
    controller.signal.on_abort(fails)  # aborted already: called at once
    assert calls == ["other"]
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        type(error)
    ] * 2


@pytest.mark.parametrize("callback", [None, "stop", asyncio.sleep])
def test_what_is_no_callback(callback: Any) -> None:
    """An async function, which would not run, and what is none are refused."""
    with pytest.raises(InvalidArgumentError, match="callback"):
        AbortController().signal.on_abort(callback)
