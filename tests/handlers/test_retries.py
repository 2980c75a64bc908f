"""When a failed attempt is tried again, and how much later."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import InvalidArgumentError, JobDef, Retry, RetryLater, Snooze


@pytest.mark.parametrize(
    ("retry", "pauses"),
    [
        (Retry(delay=2, jitter=False), [2, 4, 8, 16]),
        (Retry(delay=2, backoff="linear", jitter=False), [2, 4, 6, 8]),
        (Retry(delay=2, backoff="constant", jitter=False), [2, 2, 2, 2]),
        (Retry(delay=2, max_delay=5, jitter=False), [2, 4, 5, 5]),
        (Retry(delay=0), [0, 0, 0, 0]),
    ],
)
def test_the_pause_grows(retry: Retry, pauses: list[float]) -> None:
    """From attempt to attempt, up to the longest."""
    assert [retry.pause(attempt) for attempt in (1, 2, 3, 4)] == pauses


def test_after_many_attempts_it_is_the_longest_pause() -> None:
    """However large the number is."""
    assert Retry(max_attempts=10**9, jitter=False).pause(10**9) == 3600


def test_jitter_spreads_the_pauses() -> None:
    """Over the upper half, evenly, and never beyond the pause."""
    pauses = [Retry(delay=100).pause(1) for _ in range(1000)]
    assert 50 <= min(pauses) < 55
    assert 95 < max(pauses) <= 100
    assert 70 < sum(pauses) / len(pauses) < 80


def test_a_single_class_stands_for_itself() -> None:
    """As in an `except` clause; a list is as good as a tuple."""
    assert Retry(retry_on=OSError).retry_on == (OSError,)  # type: ignore[arg-type]
    assert Retry(give_up_on=[KeyError]).give_up_on == (KeyError,)  # type: ignore[arg-type]


def test_a_number_is_short_for_so_many_attempts() -> None:
    """`retry=5` is `Retry(max_attempts=5)`."""
    assert JobDef(lambda: None, retry=5).retries == Retry(max_attempts=5)
    assert JobDef(lambda: None).retries is None


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"delay": -1}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"max_delay": -1}, "max_delay"),
        ({"backoff": "cubic"}, "backoff"),
        ({"jitter": "yes"}, "jitter"),
        ({"retry_on": "OSError"}, "retry_on"),
        ({"retry_on": (OSError, int)}, "retry_on"),
        ({"give_up_on": OSError()}, "give_up_on"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], argument: str) -> None:
    """The error names the argument, the value and what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        Retry(**options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("kind", [RetryLater, Snooze])
@pytest.mark.parametrize("delay", [-1, float("nan"), "soon", None])
def test_a_delay_that_is_none_is_refused(kind: type[Any], delay: Any) -> None:
    """In the handler that asks for it, so its attempt fails with that message."""
    with pytest.raises(InvalidArgumentError) as caught:
        kind(delay=delay)
    assert caught.value.argument == "delay"
