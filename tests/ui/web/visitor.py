"""Somebody who looks at a dashboard without a browser, as far as HTTP goes."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

_TAG = re.compile(r"<[^>]*>")
_FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


class Visitor:
    """Follows links and sends forms.

    Args:
        client: with the dashboard's address.
        root: where it is mounted.
    """

    def __init__(self, client: httpx.AsyncClient, root: str = "") -> None:
        self.client = client
        self.root = root

    async def get(self, page: str = "", *, status: int = 200, **query: Any) -> str:
        """A page's HTML."""
        path = f"{self.root}/{page}" + (f"?{urlencode(query)}" if query else "")
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def read(self, page: str = "", *, status: int = 200, **query: Any) -> str:
        """A page's text, as it is read; the menu and the header left out."""
        return text_of(await self.get(page, status=status, **query))

    async def csrf(self) -> str:
        """The token that forms carry."""
        found = dict(_FIELD.findall(await self.get("do-not-find-me", status=404)))
        cookie = self.client.cookies.get("streamq_csrf")
        assert cookie
        return str(found.get("csrf", cookie))

    async def send(
        self, action: str, fields: Sequence[tuple[str, str]] = (), /, **more: Any
    ) -> httpx.Response:
        """Send a form."""
        token = await self.csrf()
        every = [("csrf", token), *fields, *more.items()]
        return await self.client.post(
            f"{self.root}/do/{action}", content=urlencode(every),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )  # fmt: skip

    async def do(self, action: str, fields: Sequence[tuple[str, str]] = (), /, **more: Any) -> str:
        """Send a form, say yes if asked, and return what the next page tells."""
        answer = await self.send(action, fields, **more)
        if answer.status_code == 200:
            fields = [(html.unescape(k), html.unescape(v)) for k, v in _FIELD.findall(answer.text)]
            fields = [pair for pair in fields if pair[0] != "csrf"]
            answer = await self.send(action, fields)
        assert answer.status_code == 303, answer.text
        return told(await self.client.get(answer.headers["location"]))

    async def asked(self, action: str, /, **fields: Any) -> str:
        """Send a form that has to be confirmed, and return the question."""
        answer = await self.send(action, **fields)
        assert answer.status_code == 200, answer.text
        return text_of(answer.text)


def text_of(page: str) -> str:
    """What a page says in its main part, on one line."""
    main = re.search(r"<main.*?>(.*)</main>", page, re.S)
    return " ".join(html.unescape(_TAG.sub(" ", main[1] if main else page)).split())


def told(answer: httpx.Response) -> str:
    """What a page tells of the last change."""
    found = re.search(r'<div class="flash (?:good|bad)" role="\w+">(.*?)</div>', answer.text, re.S)
    assert found, answer.text
    return html.unescape(found[1])
