"""The MongoDB that a script measures on: `--db`, else the one that the environment names."""

from __future__ import annotations

import argparse
import os

VARIABLE = "BENCH_MONGODB"
"""The address of a running MongoDB, as in `mongodb://localhost:27017/?replicaSet=rs0`; all
benchmarks take it."""


def add_db(parser: argparse.ArgumentParser) -> None:
    """Let a script be told the address; where it names no database, it gets one."""
    named = os.environ.get(VARIABLE)
    parser.add_argument(
        "--db",
        type=with_database,
        default=named and with_database(named),
        required=not named,
        help=f"the address of a MongoDB; without it ${VARIABLE}",
    )


def with_database(url: str) -> str:
    """Return the address with the name of a database in it."""
    server, mark, options = url.partition("?")
    scheme, slashes, rest = server.partition("://")
    host, _, name = rest.partition("/")
    return f"{scheme}{slashes}{host}/{name or 'bench'}{mark}{options}"
