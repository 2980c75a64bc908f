"""How many jobs may run at a time: of a name, of a group of names, and for each value of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.keys import Key, check_key, key_of, key_text
from job_processor.handlers.lanes import lane_name
from job_processor.models import Lane, OnFailure
from job_processor.settings import check_int, check_name


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit: how many jobs may run at the same time, on all workers together.

    amount: how many jobs may run at the same time: for each name or, with `group`, for all names of
        that group; with `key`, for each of its values.
    key: a limit for each value of this key: a field of the payload, such as "tenant" or
        "account.id", or a function of the payload. A job whose key is None is not limited.
    group: a name for a limit that several jobs and crons share.
    ordered: run the jobs one after the other, in the order of their times; a job that is retried or
        was interrupted keeps its turn. The amount is 1.
    on_failure: what happens in an ordered lane after an errored job: `continue` (the default)
        starts the next, `stop` waits until the errored one is retried or deleted. A lane is the
        line of jobs that share one limit and one key.
    per: `worker`: the amount counts for each worker process separately; None: for all workers
        together.

    ```python
    @processor.job(limit=Limit(2, key="tenant"))     # two at the same time for each tenant
    async def sync(tenant: str) -> None: ...
    ```

    Raises InvalidArgumentError for a value or a combination that is not allowed.
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
        check_key(self.key)
        self._check_order()
        if self.per not in (None, "worker"):
            raise InvalidArgumentError("per", self.per, "allowed are None and 'worker'")
        if self.per == "worker" and (self.key is not None or self.ordered):
            allowed = (
                "a limit per worker has neither a key nor an order, because each worker counts for "
                "itself; write Limit(2, per='worker'), or leave per out"
            )
            raise InvalidArgumentError("per", self.per, allowed)

    @property
    def order(self) -> OnFailure | None:
        """`on_failure` of an ordered limit; None if it is not ordered."""
        return (self.on_failure or "continue") if self.ordered else None

    @property
    def key_name(self) -> str | None:
        """The name of the key: the field, or the name of the function; None without a key."""
        return None if self.key is None else _called(self.key)

    def lane_of(
        self, name: str, payload: Mapping[str, Any] | None, limit_key: object = None
    ) -> Lane | None:
        """Return the lane of a job; None if no limit across workers applies to it.

        Raises InvalidArgumentError if the key is not a text or a number, or if its function fails.
        """
        if self.per == "worker":
            return None
        group = self.group or name
        if limit_key is not None:
            return Lane(lane_name(group, key_text("limit_key", limit_key, "limit")), self.order)
        if self.key is None:
            return Lane(lane_name(group), self.order)
        key = key_of("limit", name, self.key, payload or {})
        return None if key is None else Lane(lane_name(group, key), self.order)

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


def _called(key: object) -> str:
    return key if isinstance(key, str) else getattr(key, "__name__", "function")
