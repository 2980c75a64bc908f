"""Text as a database can hold it, of whatever it is given.

What a handler, a host or a library says is kept as well as it can be; what a caller gives is
refused where it cannot be kept (`settings.check_name`, `values.normalize`).
"""

from __future__ import annotations

from collections.abc import Callable

from job_processor.errors import shorten


def storable(text: str) -> str:
    """Return a text with a question mark for each lone surrogate, which UTF-8 cannot hold.

    The name of a file has them where its bytes are no UTF-8 (`os.fsdecode`).
    """
    if text.isascii():
        return text
    return str.encode(text, "utf-8", "replace").decode()


def told(value: object, limit: int) -> str:
    """Return what a value says of itself, as a text of so many characters that can be kept.

    Never raises: what says nothing, since its own code fails, is named by its class.
    """
    return _safely(value, str, limit)


def shown(value: object, limit: int) -> str:
    """Return the representation of a value in the same way."""
    return _safely(value, repr, limit)


def _safely(value: object, tell: Callable[[object], str], limit: int) -> str:
    try:
        text = str.__str__(tell(value))  # of a class derived of str, which may do anything
    except BaseException as error:  # noqa: BLE001  # its own code, which fails
        name = tell.__name__
        text = f"<{type(value).__name__} whose {name}() raised {type(error).__name__}>"
    return storable(shorten(text, limit))


def harmless(text: str, keep: str = "\n\t") -> str:
    """Return text in which nothing steers a terminal, or hides from who reads it there.

    keep: characters that are not printable and stay, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else " " for char in text)
