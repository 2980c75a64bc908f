"""Who may do what: nothing, look, or all."""

from __future__ import annotations

import base64
import binascii
import hmac
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from starlette.requests import Request

from job_processor.errors import InvalidArgumentError

Access: TypeAlias = Literal["all", "read_only", "forbidden"]
"""What a request may do."""

Check: TypeAlias = Callable[[Request], Access | Awaitable[Access]]


async def access_of(check: Check | None, request: Request) -> Access:
    """Return what a request may do; without a check, all.

    Raises InvalidArgumentError when the check answers something else.
    """
    if check is None:
        return "all"
    answer = check(request)
    access = await answer if inspect.isawaitable(answer) else answer
    if access not in get_args(Access):
        allowed = "allowed are 'all', 'read_only' and 'forbidden'"
        raise InvalidArgumentError("access", access, allowed)
    return access


def who(request: Request) -> str:
    """Return who makes a request, for the audit log: a user, a login, else where it comes from."""
    user = request.scope.get("user")
    name = getattr(user, "display_name", "") or getattr(user, "username", "")
    login = request.scope.get("job_processor.login")
    host = request.client.host if request.client else "?"
    return str(name or login or host)


@dataclass(frozen=True, slots=True)
class Login:
    """A check by a token or by a name and password, as the command line offers it.

    token: given as `Authorization: Bearer …`, or as the password of any user of HTTP Basic.
    user, password: given by HTTP Basic.
    access: what whoever knows them may do.
    """

    token: str | None = None
    user: str | None = None
    password: str | None = None
    access: Access = "all"

    def __call__(self, request: Request) -> Access:
        """Return what the request may do by what it brings."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(value.strip()):
            request.scope["job_processor.login"] = "token"
            return self.access
        if scheme.lower() == "basic":
            user, password = _basic(value)
            named = self.user is not None and self.password is not None
            right = named and _same(user, self.user or "") & _same(password, self.password or "")
            if right or self._is_token(password):
                request.scope["job_processor.login"] = user or "token"
                return self.access
        return "forbidden"

    def _is_token(self, value: str) -> bool:
        return self.token is not None and _same(value, self.token)


def _basic(value: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
