"""Questions and figures of one server among several."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.servers import RunningServer


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of its error."""
        return json.loads(self.body)["error"]["code"]


def ask(server: RunningServer, *, key: str = "", model: str = "mock", **fields: Any) -> Reply:
    """The whole answer to a question with the demo site's secret key, or another one."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
    headers = {
        "authorization": f"Bearer {key or server.secret_key}",
        "content-type": "application/json",
    }
    return send(server, "POST", "/v1/chat/completions", json.dumps(body), headers)


def send(
    server: RunningServer, method: str, path: str, body: str | None, headers: dict[str, str]
) -> Reply:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read())


def read_json(server: RunningServer, path: str) -> Any:
    """A document that needs no key."""
    return json.loads(send(server, "GET", path, None, {}).body)


def read_metrics(server: RunningServer) -> dict[str, float]:
    """Every figure without labels."""
    lines = send(server, "GET", "/metrics", None, {}).body.decode().splitlines()
    pairs = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}
