"""Browsers for tests: what one sends and keeps, without one."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from giftgql.permissions import Permission
from giftgql.staff import service as staff
from giftgql.staff.service import Credential
from giftgql.store import Store
from tests.client import Answer, Server

ORIGIN = "https://cards.example"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
OURS = {**SAME_ORIGIN, "X-GiftGQL-Request": "1"}
SESSION = "__Host-giftgql"


async def person(
    store: Store, *permissions: Permission, role: str | None = None, name: str = "Anna"
) -> Credential:
    """Add a staff member; returns its id and key."""
    async with store.write() as tx:
        return await staff.add(
            tx, name, roles=[role] if role else [], permissions=[each.value for each in permissions]
        )


@dataclass
class Browser:
    """Keeps cookies as they are set, and sends what a browser would."""

    server: Server
    origin: str = ORIGIN
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("GET", path, headers={"Sec-Fetch-Site": "none", **headers})

    async def post(
        self, path: str, form: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        headers = more.pop("headers", SAME_ORIGIN)
        return await self.send("POST", path, data=form or {}, headers=headers)

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**more.pop("headers", {}), **({"Cookie": cookies} if cookies else {})}
        url = f"{self.origin}{path}"
        answer = await self.server.http.request(method, url, headers=headers, **more)
        self.server.http.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            name, value = re.match(r"([^=]+)=([^;]*)", line).groups()  # type: ignore[union-attr]
            self.cookies[name] = value.strip('"')
            if "Max-Age=0" in line:
                del self.cookies[name]
        return answer

    async def sign_in(self, key: str, goes_on: str = "") -> httpx.Response:
        return await self.post("/sign-in", {"key": key, "next": goes_on})

    async def run(self, query: str, headers: dict[str, str] | None = None) -> Answer:
        sent = OURS if headers is None else headers
        answer = await self.send("POST", "/graphql", json={"query": query}, headers=sent)
        return Answer(answer.status_code, answer.json())

    async def form_token(self) -> str:
        found = re.search(r'name="formToken" value="(\w+)"', (await self.get("/sign-in")).text)
        return found[1] if found else ""
