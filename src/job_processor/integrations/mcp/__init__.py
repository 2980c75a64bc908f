"""An MCP server: assistants look at jobs and, where that is allowed, act on them."""

from __future__ import annotations

from job_processor.integrations.mcp.server import create_server

__all__ = ["create_server"]
