"""What the tests of the HTTP surface send and read."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.upstream import FakeUpstream
from tests.servers import RunningServer

CHAT = "/v1/chat/completions"
SIMPLE = "/api/chat/stream"
ERROR_KEYS = {"message", "type", "param", "code"}
PAGE_ORIGIN = "https://shop.example.com"
OTHER_ORIGIN = "https://other.example.com"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response; header names are lower case, ``all_headers`` keeps repeated ones."""

    status: int
    headers: dict[str, str]
    body: bytes
    all_headers: tuple[tuple[str, str], ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """A site, its keys, and an origin that it allows."""

    site_id: str
    secret_key: str
    publishable_key: str
    origin: str

    @property
    def server(self) -> dict[str, str]:
        """Headers of the site's server."""
        return {"authorization": f"Bearer {self.secret_key}"}

    @property
    def page(self) -> dict[str, str]:
        """Headers of the site's pages, without a visitor token."""
        return {"authorization": f"Bearer {self.publishable_key}", "origin": self.origin}

    def visitor(self, token: str) -> dict[str, str]:
        """Headers of a visitor on the site's pages."""
        return {"authorization": f"Bearer {token}", "origin": self.origin}


@dataclass(frozen=True, slots=True)
class Api:
    """A running server with two sites of the same documents.

    Connections to ``left_upstream`` are never pooled: its callers leave.
    """

    server: RunningServer
    site: SiteKeys
    other: SiteKeys
    upstream: FakeUpstream
    left_upstream: FakeUpstream

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """The reply to one request on a connection of its own; other than bytes goes as JSON."""
        fields = dict(headers or {})
        if body is not None and not isinstance(body, bytes | Iterator):
            body = json.dumps(body).encode()
            fields.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(
                method,
                path,
                body,  # pyright: ignore[reportArgumentType]
                fields,
                encode_chunked=isinstance(body, Iterator),
            )
            response = connection.getresponse()
            found = tuple((name.lower(), value) for name, value in response.getheaders())
            return Reply(response.status, dict(found), response.read(), found)

    def ask(self, text: str, headers: dict[str, str] | None = None, **over: object) -> Reply:
        """The reply to a question, by the site's server unless told."""
        return self.send("POST", CHAT, question(text, **over), headers or self.site.server)

    async def asend(self, *request: Any) -> Reply:
        """As ``send``, beside the running loop."""
        return await asyncio.to_thread(self.send, *request)


def question(text: str, **over: object) -> dict[str, object]:
    """The body of a chat request."""
    return {"model": "mock", "messages": [{"role": "user", "content": text}], **over}


def events_of(body: bytes) -> list[Any]:
    """The payloads of an event stream, JSON decoded; comments are left out, ``[DONE]`` is text."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    lines = [block.removeprefix("data: ") for block in blocks if not block.startswith(":")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(chunks: Iterable[Any], index: int = 0) -> str:
    """The text that a stream's chunks add up to."""
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        if isinstance(chunk, dict)
        for choice in chunk.get("choices", ())
        if choice["index"] == index
    )


def assert_is_error(
    reply: Reply, status: int, code: str | None = None, param: str | None = None
) -> None:
    """The reply has the status and is in the one shape of errors."""
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json"), reply
    assert set(reply.json) == {"error"}
    error = reply.json["error"]
    assert set(error) == ERROR_KEYS
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert isinstance(error["param"], str | None)
    assert isinstance(error["code"], str | None)
    assert _REQUEST_ID.fullmatch(reply.headers["x-request-id"])
    if code is not None:
        assert error["code"] == code, error
    if param is not None:
        assert error["param"] == param, error


def poll(read: Any, *, timeout_s: float = 1.0) -> Any:
    """What ``read`` gives once it is true; fails when that takes longer."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = read()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.01)


async def apoll(read: Any, *, timeout_s: float = 1.0) -> Any:
    """As ``poll``, beside the running loop."""
    async with asyncio.timeout(timeout_s):
        while not (found := await read()):
            await asyncio.sleep(0.01)
    return found
