"""Who may do what: nothing, look, or all."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from starlette.requests import Request

from job_processor.errors import InvalidArgumentError

Access: TypeAlias = Literal["all", "read_only", "forbidden"]
"""What a request may do: everything, read only, or nothing."""

Check: TypeAlias = Callable[[Request], Access | Awaitable[Access]]

MIN_TOKEN = 16
"""Characters of a token; fewer can be guessed."""

MIN_PASSWORD = 8
"""Characters of a password that belongs to a name."""

LOGIN = "job_processor.login"
"""Where a request's scope has the name under which it came in."""
ASKED = "job_processor.asked"
"""Set in the scope of a request that was judged by a secret."""
FAILED = "job_processor.failed"
"""Set in the scope of a request that brought a secret, and a wrong one."""


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
    """Return who makes a request, for the audit log: a user, a login, else where it comes from.

    Nothing that the request itself says of its maker counts.
    """
    told = login_of(request) or address_of(request)
    return "".join(char if char.isprintable() else " " for char in told)


def login_of(request: Request) -> str:
    """Return the user or login that a request came in as, "" where nobody was asked."""
    user = request.scope.get("user")
    name = getattr(user, "display_name", "") or getattr(user, "username", "")
    return str(name or request.scope.get(LOGIN) or "")


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else "?"


@dataclass(frozen=True, slots=True)
class Login:
    """An access check for `create_app` by a token, or by a user name and password.

    token: sent as `Authorization: Bearer …`, or as the HTTP Basic password of any user; at least 16
        characters.
    user, password: sent by HTTP Basic; the password has at least 8 characters.
    access: what a request with these credentials may do.

    ```python
    create_app(processor, access=Login(token=os.environ["DASHBOARD_TOKEN"]))
    ```

    Raises InvalidArgumentError if neither is given, and for an empty, blank or short secret.
    """

    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    access: Access = "all"

    def __post_init__(self) -> None:
        if self.token is None and self.user is None and self.password is None:
            raise InvalidArgumentError("token", None, "give a token, or a user and a password")
        if self.token is not None:
            check_token("token", self.token)
        if self.user is not None or self.password is not None:
            check_user("user", self.user)
            check_password("password", self.password)
        if self.access not in get_args(Access):
            allowed = "allowed are 'all', 'read_only' and 'forbidden'"
            raise InvalidArgumentError("access", self.access, allowed)

    def __call__(self, request: Request) -> Access:
        """Return what the request may do."""
        request.scope[ASKED] = True
        name = self._name_of(request)
        if name is None:
            return "forbidden"
        request.scope[LOGIN] = name
        return self.access

    def _name_of(self, request: Request) -> str | None:
        """Return under which name a request may come in; None when it may not.

        Who gives the token is "token": the user that is named beside it can be anything.
        """
        given = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not given:
            return None
        request.scope[FAILED] = True
        scheme, _, value = given[0].strip().partition(b" ")
        name = None
        if len(given) > 1:  # whose would it be?
            return None
        if scheme.lower() == b"bearer" and self._is_token(value.strip()):
            name = "token"
        elif scheme.lower() == b"basic" and (pair := _basic(value.strip())) is not None:
            user, password = pair
            if self._is_token(password):
                name = "token"
            elif self.user is not None and self.password is not None:
                right = _same(user, self.user) & _same(password, self.password)
                name = self.user if right else None
        if name is not None:
            del request.scope[FAILED]
        return name

    def _is_token(self, value: bytes) -> bool:
        return self.token is not None and _same(value, self.token)


def check_token(argument: str, token: object) -> str:
    """Return a token that can be one; raise InvalidArgumentError, which does not show it."""
    return _secret(argument, token, MIN_TOKEN)


def check_password(argument: str, password: object) -> str:
    """Return a password that can be one; raise InvalidArgumentError, which does not show it."""
    return _secret(argument, password, MIN_PASSWORD)


def check_user(argument: str, user: object) -> str:
    """Return a name that HTTP Basic can carry; raise InvalidArgumentError."""
    if not isinstance(user, str) or not user.strip() or ":" in user or not user.isprintable():
        raise InvalidArgumentError(argument, user, "allowed is a name without a colon")
    return user


def _secret(argument: str, secret: object, shortest: int) -> str:
    allowed = f"allowed are at least {shortest} characters"
    if not isinstance(secret, str):
        raise InvalidArgumentError(argument, _Hidden(type(secret).__name__), f"{allowed} of text")
    if not secret.strip():
        raise InvalidArgumentError(argument, _Hidden("empty"), allowed)
    if len(secret) < shortest:
        raise InvalidArgumentError(argument, _Hidden(f"{len(secret)} characters"), allowed)
    if secret != secret.strip() or not secret.isprintable():
        told = _Hidden("with blanks at an end, or control characters")
        raise InvalidArgumentError(argument, told, "allowed is text that a header can carry")
    return secret


class _Hidden(str):
    """Says of a secret what can be said, in an error's message."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self}>"


def _basic(value: bytes) -> tuple[bytes, bytes] | None:
    """Return user and password; None for what is no such pair."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon and password else None


def _same(given: bytes, expected: str) -> bool:
    """Compare in a time that tells neither how much of it is right nor how long it is."""
    return hmac.compare_digest(_digest(given), _digest(expected.encode()))


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
