"""From what the user gave to a client and a database, with an address that tells no password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.settings import without_credentials
from job_processor.store.mongo.documents import Document

_SELECTION_TIMEOUT_MS = 5000
"""How long a call looks for the server, unless the URL says otherwise (`pymongo`'s is 30 s)."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a server gets to let go of a client or a stream; one that hangs holds up nobody."""

_OF_THE_APPLICATION = frozenset(
    {
        "auto_encryption_opts",  # names a client of its own; what we send beside has no secret
        "connect",
        "document_class",
        "type_registry",
        "tz_aware",
    }
)
"""Arguments that say how the application reads, and not how a server is reached."""

_ENCRYPTED = (
    "its client encrypts by itself (auto_encryption_opts), which refuses change streams and counts "
    "and would hide what jobs are found by; pass a database of a client without it, or with "
    "bypass_auto_encryption=True, and encrypt what a payload hides with ClientEncryption"
)
_OTHERS = {
    "MongoClient": "synchronous client",
    "Database": "synchronous database",
    "Collection": "collection",
    "AsyncCollection": "collection",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """A database, where it is, and how another client reaches the same."""

    database: AsyncDatabase[Any]
    address: str
    options: Document | None = field(repr=False)
    """Arguments for a second client; None when they could not be found out."""
    owned: bool
    """True when the client is ours to close."""


def connect(url: str) -> Connection:
    """Return the database that a URL names; nothing is sent yet.

    Raises InvalidArgumentError when the URL is malformed or names no database.
    """
    address, name = _parts(url)
    allowed = "allowed is a URL that names a database: mongodb://host/name"
    if not name:
        raise InvalidArgumentError("db", without_credentials(url), allowed + _misspelt(url))
    options: Document = {"host": url}
    if "serverselectiontimeoutms=" not in url.lower():
        options["serverSelectionTimeoutMS"] = _SELECTION_TIMEOUT_MS
    try:
        client: AsyncMongoClient[Document] = AsyncMongoClient(**options)
        database = client[name]
    except (PyMongoError, ValueError, TypeError) as error:
        # The driver's words may repeat a part of the URL: without credentials only.
        other = "; one of its hosts or options is not allowed"
        reason = _misspelt(url) or other if "@" in url else f" ({error})"
        raise InvalidArgumentError("db", without_credentials(url), allowed + reason) from None
    return Connection(database, address, options, owned=True)


def adopt(database: object) -> Connection:
    """Return the connection of a database that was passed in.

    Raises InvalidArgumentError, which says what to pass instead, for anything but an AsyncDatabase.
    """
    if not isinstance(database, AsyncDatabase):
        raise InvalidArgumentError("db", database, _instead_of(database))
    if encrypts(database.client):
        raise InvalidArgumentError("db", Unshown(database), _ENCRYPTED)
    hosts = database.client.topology_description.server_descriptions()
    where = ",".join(f"{host}:{port}" if port else host for host, port in sorted(hosts))
    return Connection(
        database,
        f"mongodb://{where}/{database.name}",
        client_options(database.client),
        owned=False,
    )


def encrypts(client: AsyncMongoClient[Any]) -> bool:
    """True for a client that encrypts by itself what it sends.

    One that only decrypts (`bypass_auto_encryption`) sends everything as it is.
    """
    options = client.options.auto_encryption_opts
    return options is not None and not getattr(options, "_bypass_auto_encryption", False)


def client_options(client: AsyncMongoClient[Any]) -> Document | None:
    """Return the arguments that a client was made with, for another one to the same servers.

    Hosts, credentials, TLS and all. pymongo keeps them for its own copies of a client, under a name
    that is not public: None when a later version keeps them elsewhere.
    """
    options = getattr(client, "_init_kwargs", None)
    if not isinstance(options, dict) or "host" not in options:
        return None
    return {
        name: value
        for name, value in options.items()
        if name not in _OF_THE_APPLICATION and not name.startswith("_")
    }


def beside(options: Document, **ours: Any) -> Document:
    """Return the arguments of a client to the same servers, with some of our own.

    Ours stand in for those that were given, however these are written.
    """
    names = {name.lower() for name in ours}
    return {name: value for name, value in options.items() if name.lower() not in names} | ours


def calm(client: AsyncMongoClient[Any] | MongoClient[Any]) -> None:
    """Let a client of our own that has begun wake up less often: it has no cursors to end.

    pymongo looks twice a second whether some were left open, in a task or thread whose name is not
    public: where a later version keeps it elsewhere, it goes on.
    """
    executor = getattr(client, "_kill_cursors_executor", None)
    if executor is not None:
        executor.close()


def _parts(url: str) -> tuple[str, str]:
    """Return a URL without credentials and options, and the name of its database."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("?")[0].rpartition("/")
    if not authority:
        authority, path = path, ""
    hosts = authority.rpartition("@")[2]
    name = unquote(path)
    return f"{scheme}://{hosts}/{name}", name


def _misspelt(url: str) -> str:
    """Return what is usually wrong where a URL has credentials, without a part of them."""
    credentials, at, rest = url.partition("://")[2].rpartition("@")
    if not at:
        return ""
    if re.search(r"[@/?#:]|%(?![0-9a-fA-F]{2})", credentials.replace(":", "", 1)):
        return (
            "; in a name or password the characters : / ? # [ ] @ % must be escaped, "
            "as urllib.parse.quote_plus() does it"
        )
    hosts = re.split(r"[/?]", rest, maxsplit=1)[0].split(",")
    if any(re.search(r":(?!\d{1,5}$)[^\]]*$", host) for host in hosts):
        return "; a port is a number from 1 to 65535"
    return ""


def _instead_of(database: object) -> str:
    kind = type(database)
    instead = "pass an AsyncDatabase of pymongo: AsyncMongoClient(url)['name']"
    if kind.__module__.startswith("motor"):
        return f"this is a database of Motor, which pymongo's own asyncio API replaces; {instead}"
    if kind.__name__ == "AsyncMongoClient":
        return "this is a client; pass one of its databases: client['name']"
    what = _OTHERS.get(kind.__name__)
    return f"this is a {what}; {instead}" if what else f"{instead}, or a URL: mongodb://host/name"
