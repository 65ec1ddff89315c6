"""Asking a server whose upstream fails, and what is to be seen of it on every side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from tests.databases import to_libpq
from tests.fakes.upstream import Exchange, FakeUpstream
from tests.integration.api.client import CHAT, Api, Reply, SiteKeys, question
from tests.servers import RunningServer

# What a caller sends of itself; nothing of it reaches an upstream.
CALLER = {
    "cookie": "visitor=caller-text",
    "user-agent": "caller-text",
    "x-forwarded-for": "203.0.113.9",
    "x-real-ip": "203.0.113.9",
    "referer": "https://caller-text.example.com/",
    "accept-language": "caller-text",
    "x-caller": "caller-text",
}
_THREADS = 24


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is in the database."""

    role: str
    status: str
    content: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one question."""

    reply: Reply
    took_s: float
    exchanges: list[Exchange]


class Faulty:
    """A running server, its upstream, and its database."""

    def __init__(
        self, server: RunningServer, keys: SiteKeys, upstream: FakeUpstream, database_url: str
    ) -> None:
        self.api = Api(server, keys, keys, upstream, upstream)
        self.upstream = upstream
        self._database_url = to_libpq(database_url)
        self._threads = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    async def ask(self, model: str, text: str, **over: Any) -> Seen:
        """What comes of a question whose text nobody else asks."""
        asked = question(text, model=model, retrieval={"off": True}, **over)
        headers = {**CALLER, **self.api.site.server}
        loop, began = asyncio.get_running_loop(), time.monotonic()
        reply = await loop.run_in_executor(
            self._threads, self.api.send, "POST", CHAT, asked, headers
        )
        return Seen(reply, time.monotonic() - began, self.exchanges_of(text))

    def exchanges_of(self, text: str) -> list[Exchange]:
        """The requests to the upstream for a question."""
        asked = text.encode() + b'"'
        return [one for one in self.upstream.exchanges if asked in one.request.body]

    async def stored(self, answered: Iterable[str] = ()) -> dict[str, list[Stored]]:
        """The messages of each conversation by its question, once those questions have answers.

        What is missing after 2 s is missing.
        """
        answered = list(answered)
        deadline = time.monotonic() + 2
        while True:
            found = await asyncio.to_thread(self._read)
            is_whole = all(len(found.get(text, ())) > 1 for text in answered)
            if is_whole or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.05)

    def _read(self) -> dict[str, list[Stored]]:
        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute(
                "SELECT conversation_id, role, status, content FROM message "
                "ORDER BY conversation_id, number"
            ).fetchall()
        conversations: dict[str, list[Stored]] = {}
        for conversation_id, *fields in rows:
            conversations.setdefault(conversation_id, []).append(Stored(*fields))
        return {messages[0].content: messages for messages in conversations.values()}
