"""Which server this is: MongoDB, or another that speaks its protocol.

A server is judged by what it refuses, never by its version or its name: those only tell what to
say then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Database

OLDEST_WIRE_VERSION = 17
"""Of MongoDB 6.0, the first that takes `$in` and `$or` in the filter of a partial index."""

_OLDEST = "MongoDB 6.0 is the oldest that serves"
_HOSTS = {
    ".docdb.amazonaws.com": "Amazon DocumentDB",
    ".docdb-elastic.amazonaws.com": "Amazon DocumentDB",
    ".cosmos.azure.com": "Azure Cosmos DB",
}
_FERRETDB = ("ferretdb", "ferretdbVersion", "ferretdbFeatures")
"""Fields of `buildInfo`, of which each version of it has one."""

_ENGINE = ("documentdb_versions", "cosmos_versions")
"""Fields of `hello.internal`: the engine beneath Azure's service, which others use as well."""

_ITS_REFUSAL = "Field 'partialFilterExpression' is currently not supported"
"""What Amazon DocumentDB says; behind a tunnel its address tells nothing."""


def look_alike(
    hello: Mapping[str, Any], build_info: Mapping[str, Any], hosts: Iterable[str], refusal: str = ""
) -> str | None:
    """Return the name of a server that is not MongoDB; None where nothing tells that it is not."""
    for host in hosts:
        for ending, name in _HOSTS.items():
            if host.lower().rstrip(".").endswith(ending):
                return name
    if any(field in build_info for field in _FERRETDB):
        return "FerretDB"
    internal = hello.get("internal")
    if isinstance(internal, Mapping) and any(field in internal for field in _ENGINE):
        azure = str(internal.get("kind", "")).lower().startswith("azure")
        return "Azure DocumentDB (Cosmos DB for MongoDB)" if azure else "DocumentDB"
    return "Amazon DocumentDB" if _ITS_REFUSAL in refusal else None


def is_older(hello: Mapping[str, Any]) -> bool:
    """True below MongoDB 6.0."""
    return int(hello.get("maxWireVersion") or 0) < OLDEST_WIRE_VERSION


def advice(name: str | None, *, older: bool) -> str:
    """Return what to do about a server that refuses what the store needs; empty: nobody knows."""
    if name is not None:
        return (
            f"this is {name}, which is not MongoDB and lacks what exclusive jobs, unique keys or "
            "claims rest on: use MongoDB 6.0 or later, or SQLite"
        )
    if older:
        return f"{_OLDEST}: before, no partial index may have $in or $or in its filter"
    return ""


async def identify(database: Database, hello: Mapping[str, Any], refusal: str = "") -> str | None:
    """Return the name of a server that is not MongoDB, asking it where that helps."""
    known = database.client.topology_description.server_descriptions()
    hosts = [host for host, _ in known] + [
        str(each).rpartition(":")[0] for each in (*hello.get("hosts", ()), hello.get("me", ""))
    ]
    try:
        build_info: Document = await database.command("buildInfo")
    except OperationFailure:  # not for this user, or not in a strict Stable API
        build_info = {}
    return look_alike(hello, build_info, hosts, refusal)
