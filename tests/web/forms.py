"""The forms of the dashboard's pages, as tests send them."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx


def csrf_of(page: str) -> str:
    """Return what the forms of a page hold."""
    return page.partition('name="csrf" value="')[2].partition('"')[0]


async def token_of(client: httpx.AsyncClient) -> str:
    """Return the token of a form, as a page holds it."""
    return csrf_of((await client.get("/jobs")).text)


class Forms:
    """Sends the forms of the pages."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, path: str = "/act", **fields: Any) -> str:
        """Return the page to which a form leads."""
        fields = {"csrf": await token_of(self._client), "back": "/jobs", **fields}
        answer = await self._client.post(path, data=fields)
        assert answer.status_code == 200
        return answer.text

    async def confirm(self, **fields: Any) -> str:
        """Return the page to which a form leads whose confirmation is given."""
        return await self.send(sure=sure_of(await self.send(**fields)))


def sure_of(page: str) -> str:
    """Return what the button of a confirmation sends."""
    found = re.search(r'name="sure" value="([^"]+)"', page)
    assert found is not None
    return found[1]
