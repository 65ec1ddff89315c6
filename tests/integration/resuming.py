"""Streams of answers that are left and joined again, as an SSE client sees them."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer
from tests.integration.api.client import CHAT

RESUME = {"x-sitebrook-resume": "1"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One block of an event stream: its id, empty without one, and its data."""

    id: str
    data: Any

    @property
    def text(self) -> str:
        """The text that it adds, in OpenAI's chunks or the simple format."""
        if not isinstance(self.data, dict):
            return ""
        if "content" in self.data:
            return self.data["content"]
        return "".join(
            choice["delta"].get("content") or "" for choice in self.data.get("choices", ())
        )


class Stream:
    """One open stream, or the ``error`` with which it was refused.

    ``leave`` closes its connection as a client that is gone does.
    """

    def __init__(
        self,
        port: int,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        text = None if body is None else json.dumps(body)
        fields = {"content-type": "application/json"} if text else {}
        self._connection.request(method, path, text, {**fields, **(headers or {})})
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.answer_id = self.headers.get("x-answer-id", "")
        self.frames: list[Frame] = []
        self.error: Any = None
        if self.status != 200:
            self.error = json.loads(self._response.read())["error"]
            self.leave()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(frame.text for frame in self.frames)

    @property
    def position(self) -> str:
        """The last id, as an SSE client keeps it."""
        return next((one.id for one in reversed(self.frames) if one.id), "")

    def read(self, count: int) -> list[Frame]:
        """So many frames more, fewer at the end."""
        found: list[Frame] = []
        lines: dict[str, str] = {}
        while len(found) < count and (line := self._response.readline()):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line == b"\n":
                if "data" in lines:
                    data = lines["data"]
                    payload = data if data == "[DONE]" else json.loads(data)
                    found.append(Frame(lines.get("id", ""), payload))
                lines = {}
            elif name:
                lines[name] = value
        self.frames += found
        return found

    def read_all(self) -> list[Frame]:
        """The frames to the end."""
        found = self.read(10**9)
        self.leave()
        return found

    def leave(self) -> None:
        """Closes the connection."""
        self._response.close()
        self._connection.close()


def ask(
    port: int, headers: dict[str, str], text: str, *, path: str = CHAT, **over: object
) -> Stream:
    """A streamed answer that can be resumed."""
    body: dict[str, object] = dict(over)
    if path == CHAT:
        body |= {"messages": [{"role": "user", "content": text}], "stream": True}
    else:
        body |= {"question": text}
    return Stream(port, "POST", path, body, {**RESUME, **headers})


def resume(
    port: int, headers: dict[str, str], answer_id: str, after: str = "", query: str = ""
) -> Stream:
    """The rest of an answer behind a position."""
    last = {"last-event-id": after} if after else {}
    return Stream(port, "GET", f"/api/answers/{answer_id}/stream{query}", None, {**headers, **last})


def until_shared(redis: RedisServer, answer: Stream) -> None:
    """Returns once Redis has the beginning of an answer."""
    wait_until(lambda: redis.command("KEYS", f"sb:ev:*{answer.answer_id}*"))


def shown(frames: list[Frame]) -> list[Any]:
    """What frames tell beside the role, which each stream begins with."""
    return [
        frame.data
        for frame in frames
        if frame.data == "[DONE]"
        or not any("role" in choice["delta"] for choice in frame.data.get("choices", ()))
    ]
