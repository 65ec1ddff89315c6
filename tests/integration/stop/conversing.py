"""Callers of a server that is being stopped, and an upstream whose answers the test releases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.fakes.openai_scripts import ROLE, STOP, chunk_of, event
from tests.fakes.redis_server import running_redis
from tests.fakes.upstream import Exchange, FakeUpstream
from tests.integration.api.client import CHAT, events_of
from tests.servers import RunningServer, running_server

_CONFIG = """
[[providers]]
name = "up"
base_url = "{base_url}"
passthrough = true
"""


class Answers(FakeUpstream):
    """An upstream with three models: what they say after the first words waits for the test.

    ``up/held`` never goes on, ``up/released`` goes on after ``release``, ``up/late`` says nothing.
    """

    async def __aenter__(self) -> Answers:
        await super().__aenter__()
        self.release = asyncio.Event()
        self.scripts.update(held=self._hold, released=self._go_on, late=self._say_nothing)
        return self

    async def _begin(self, exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        for payload in (ROLE, chunk_of({"content": "Hello"})):
            await exchange.chunk(event(payload))

    async def _hold(self, exchange: Exchange) -> None:
        await self._begin(exchange)
        await exchange.stall()

    async def _go_on(self, exchange: Exchange) -> None:
        await self._begin(exchange)
        await self.release.wait()
        for payload in (chunk_of({"content": " world"}), STOP, "[DONE]"):
            await exchange.chunk(event(payload))
        await exchange.end()

    async def _say_nothing(self, exchange: Exchange) -> None:
        await exchange.stall()


@dataclass
class Call:
    """One chat request under way: what has come of it so far, and whether it was cut off."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut: bool = False
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[Any]:
        return events_of(self.body)

    @property
    def is_whole(self) -> bool:
        """Whether it is a stream that ended as it should."""
        return not self.is_cut and self.body.endswith(b"data: [DONE]\n\n")

    @property
    def is_refused_in_stream(self) -> bool:
        """Whether it is a stream that ended with one error event and nothing that looks whole."""
        *others, last = self.events
        code = last.get("error", {}).get("code") if isinstance(last, dict) else None
        finishes = [choice["finish_reason"] for one in others for choice in one["choices"]]
        return not self.is_cut and code == "server_stopping" and not any(finishes)


@dataclass
class Callers:
    """Asks the server's demo site, each request over a connection of its own."""

    server: RunningServer
    session: aiohttp.ClientSession
    group: asyncio.TaskGroup

    def ask(self, model: str, **over: object) -> Call:
        """A request that goes on in the background."""
        call = Call()
        self.group.create_task(self._run(call, model, {"stream": True, **over}))
        return call

    async def ask_many(self, model: str, count: int) -> list[Call]:
        """Streams whose first words have come."""
        calls = [self.ask(model) for _ in range(count)]
        async with asyncio.timeout(20):
            for call in calls:
                await call.has_begun.wait()
        return calls

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET with the secret key."""
        async with self.session.get(self.server.url + path, headers=self._key) as reply:
            return reply.status, _lower(reply), await reply.read()

    async def post(self, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a POST with the secret key."""
        url = self.server.url + path
        async with self.session.post(url, json=body, headers=self._key) as reply:
            return reply.status, _lower(reply), await reply.read()

    async def _run(self, call: Call, model: str, over: dict[str, object]) -> None:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Hello?"}],
            "retrieval": {"off": True},
            **over,
        }
        url = self.server.url + CHAT
        try:
            async with self.session.post(url, json=body, headers=self._key) as reply:
                call.status, call.headers = reply.status, _lower(reply)
                async for part in reply.content.iter_any():
                    call.body += part
                    call.has_begun.set()
        except aiohttp.ClientError:
            call.is_cut = True
        finally:
            call.has_begun.set()
            call.has_ended.set()

    @property
    def _key(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.server.secret_key}"}


def _lower(reply: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in reply.headers.items()}


@contextlib.contextmanager
def serving(
    database_url: str, upstream: FakeUpstream, folder: Path, **env: str
) -> Iterator[RunningServer]:
    """A server that asks the upstream."""
    config = write_config(upstream, folder)
    with (
        shared_by(env.get("SITEBROOK_WORKERS", "1")) as shared,
        running_server(database_url, SITEBROOK_CONFIG=config, **env, **shared) as server,
    ):
        yield server


@contextlib.contextmanager
def shared_by(workers: str) -> Iterator[dict[str, str]]:
    """The setting that several workers need and one does not."""
    if workers == "1":
        yield {}
        return
    with running_redis() as redis:
        yield {"REDIS_URL": redis.url}


def write_config(upstream: FakeUpstream, folder: Path) -> str:
    """The path of a settings file that names the upstream."""
    config = folder / "stop.toml"
    config.write_text(_CONFIG.format(base_url=upstream.base_url), "utf-8")
    return str(config)


@contextlib.asynccontextmanager
async def calling(server: RunningServer) -> AsyncIterator[Callers]:
    """Callers whose requests have all ended when the block has."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        yield Callers(server, session, group)


async def wait_for_end(server: RunningServer, timeout_s: float) -> int:
    """The exit status of a server that was told to stop."""
    return await asyncio.to_thread(server.process.wait, timeout_s)
