"""Addresses of databases: made, and shown without what is secret in them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote


def sqlite_address(path: Path) -> str:
    """Return the address of a SQLite file, whatever characters its path has."""
    return f"sqlite:///{quote(path.absolute().as_posix())}"


def without_credentials(address: str) -> str:
    """Return an address without user, password and options, however it is misspelt.

    What stands before the last `@` is left out, but for a word that looks like a scheme.
    """
    before, at, host = address.rpartition("@")
    scheme = re.match(
        r"(?:mongodb(?:\+srv)?|sqlite)(?=:)|[a-z][a-z0-9+.\-]*(?=://)", address, re.IGNORECASE
    )
    if not at and scheme is not None and scheme[0].lower() == "sqlite":
        return address  # its options are no secret
    shown = host.partition("?")[0]
    if not at or not before:
        return shown
    return f"{scheme[0]}://…@{shown}" if scheme else f"…@{shown}"
