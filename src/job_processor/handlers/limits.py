"""How many jobs may run at a time: of a name, of a group of names, and for each value of a key."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeAlias

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.lanes import lane_name
from job_processor.models import Lane, OnFailure
from job_processor.settings import check_int, check_name, check_text

Key: TypeAlias = str | Callable[[Mapping[str, Any]], object]
"""A field of the payload (a dot leads into a mapping), or a function of the payload."""

_KEYS = "allowed is a non-empty text or a number, or None: then nothing limits this job"


@dataclass(frozen=True, slots=True)
class Limit:
    """How many jobs may run at a time, wherever they run.

    amount: of each name or, with `group`, of all names that have this group; with `key`, for each
        of its values.
    key: a field of the payload, such as "tenant" or "account.id", or a function of the payload. A
        job whose key is None is not limited.
    group: what the names share that have it.
    ordered: one after the other, in the order of their times; a job that is tried again, or was
        interrupted, keeps its turn. The amount is 1.
    on_failure: what follows in an ordered lane when a job ends errored: `continue` (the default)
        starts the next, `stop` none, until somebody retries or deletes the failed one.
    per: `worker`: the amount is of each worker process, which counts by itself.

    Raises InvalidArgumentError where one of these cannot be.
    """

    amount: int
    _: KW_ONLY
    key: Key | None = None
    group: str | None = None
    ordered: bool = False
    on_failure: OnFailure | None = None
    per: Literal["worker"] | None = None

    def __post_init__(self) -> None:
        check_int("limit", self.amount, minimum=1)
        if self.group is not None:
            check_name("group", self.group)
        self._check_key()
        self._check_order()
        if self.per not in (None, "worker"):
            raise InvalidArgumentError("per", self.per, "allowed are None and 'worker'")
        if self.per == "worker" and (self.key is not None or self.ordered):
            allowed = (
                "a limit of each worker has neither a key nor an order, since no worker knows of "
                "the others; write Limit(2, per='worker'), or leave per out"
            )
            raise InvalidArgumentError("per", self.per, allowed)

    @property
    def order(self) -> OnFailure | None:
        """What follows when a job of its lanes fails; None: they have no order."""
        return (self.on_failure or "continue") if self.ordered else None

    @property
    def key_name(self) -> str | None:
        """What its key is called: the field, or the name of the function; None without a key."""
        return None if self.key is None else _called(self.key)

    def lane_of(
        self, name: str, payload: Mapping[str, Any] | None, limit_key: object = None
    ) -> Lane | None:
        """Return the lane of a job; None: nothing limits it, or each worker does by itself.

        Raises InvalidArgumentError for a key that cannot be one, or that its function cannot tell.
        """
        if self.per == "worker":
            return None
        group = self.group or name
        if limit_key is not None:
            return Lane(lane_name(group, key_text("limit_key", limit_key)), self.order)
        if self.key is None:
            return Lane(lane_name(group), self.order)
        value = self._value(name, payload or {})
        if value is None:
            return None
        return Lane(lane_name(group, key_text(_of(name, self.key), value, shown=False)), self.order)

    def _value(self, name: str, payload: Mapping[str, Any]) -> object:
        if callable(self.key):
            try:
                return self.key(payload)
            except Exception as error:
                told = f"the function of the key failed: {type(error).__name__}"
                raise InvalidArgumentError(_of(name, self.key), self.key, told) from error
        assert self.key is not None  # noqa: S101  # it was looked at before
        return _field(payload, self.key)

    def _check_key(self) -> None:
        if self.key is None or callable(self.key):
            return
        if not isinstance(self.key, str) or not self.key.strip():
            allowed = "allowed is a field of the payload, such as 'tenant', or a function of it"
            raise InvalidArgumentError("key", self.key, allowed)
        check_text("key", self.key)

    def _check_order(self) -> None:
        if not isinstance(self.ordered, bool):
            raise InvalidArgumentError("ordered", self.ordered, "allowed are True and False")
        if self.on_failure not in (None, "continue", "stop"):
            allowed = "allowed are 'continue' and 'stop'"
            raise InvalidArgumentError("on_failure", self.on_failure, allowed)
        if self.ordered and self.amount != 1:
            allowed = "one after the other is a limit of 1: write Limit(1, ordered=True)"
            raise InvalidArgumentError("limit", self.amount, allowed)
        if self.on_failure is not None and not self.ordered:
            allowed = "it is for a lane with an order: write Limit(1, ordered=True, on_failure=…)"
            raise InvalidArgumentError("on_failure", self.on_failure, allowed)


def as_limit(value: object) -> Limit | None:
    """Return what `limit` means; raises InvalidArgumentError for what is none."""
    if value is None or isinstance(value, Limit):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Limit(value)
    allowed = "allowed is a whole number of at least 1, or a Limit: Limit(5, key='tenant')"
    raise InvalidArgumentError("limit", value, allowed)


def key_text(argument: str, value: object, *, shown: bool = True) -> str:
    """Return a key as text; raises InvalidArgumentError for what is neither text nor number."""
    told = value if shown else Unshown.of(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidArgumentError(argument, told, _KEYS)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgumentError(argument, told, _KEYS)
        value = int(value) if value.is_integer() else value
    if isinstance(value, str):
        if not value.strip() or "\0" in value:
            raise InvalidArgumentError(argument, told, _KEYS)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(argument, told, _KEYS) from error
    return str(value)


def _field(payload: Mapping[str, Any], path: str) -> object:
    if path in payload:
        return payload[path]
    value: object = payload
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _called(key: object) -> str:
    return key if isinstance(key, str) else getattr(key, "__name__", "function")


def _of(name: str, key: object) -> str:
    return f"limit key {_called(key)!r} of {name!r}"
