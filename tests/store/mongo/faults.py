"""Commands that fail, by the server's own fail point."""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient


class Faults:
    """Makes the next calls of a command fail.

    `times` None: until `stop()`. `app`: only those of clients whose URL has this `appName`.
    """

    def __init__(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self.client = client

    async def fail(
        self,
        command: str,
        code: int,
        *,
        times: int | None = 1,
        app: str | None = None,
        after_ms: int = 0,
    ) -> None:
        """Answer a command with an error code, after a while."""
        slowly = {"blockConnection": True, "blockTimeMS": after_ms} if after_ms else {}
        await self._arm(command, {"errorCode": code, **slowly}, times, app)

    async def miss_write_concern(
        self, command: str, *, code: int = 64, times: int | None = 1, app: str | None = None
    ) -> None:
        """Execute a command, but answer that its write concern was not met, and why."""
        error = {"code": code, "errmsg": "waiting for replication timed out"}
        await self._arm(command, {"writeConcernError": error}, times, app)

    async def stop(self) -> None:
        """Let every command succeed again."""
        await self.client.admin.command("configureFailPoint", "failCommand", mode="off")

    async def _arm(
        self, command: str, what: dict[str, Any], times: int | None, app: str | None
    ) -> None:
        await self.client.admin.command(
            "configureFailPoint",
            "failCommand",
            mode="alwaysOn" if times is None else {"times": times},
            data={"failCommands": [command], **what, **({"appName": app} if app else {})},
        )
