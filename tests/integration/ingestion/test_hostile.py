"""A server that is sent files made to break it: each gets its reason, and the server lives on."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.databases import new_database
from tests.fakes.hostile import HOSTILE
from tests.servers import RunningServer, running_server

_TIME_S = 6
_HEALTH_S = 2.0
_PAUSE_S = 0.05


class Watched:
    """A server whose health is asked for all the while."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.longest_s = 0.0
        self.failures: list[object] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_PAUSE_S):
            started = time.monotonic()
            try:
                status, _ = self.send("GET", "/health/live")
            except OSError as error:
                status = error
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            self.failures += [] if status == 200 else [status]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[Any, Any]:
        """Status and JSON of the reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def upload(self, name: str, content: bytes) -> str:
        """The reason of the refusal; nothing when the file was taken in."""
        head = f'--x\r\ncontent-disposition: form-data; name="files"; filename="{name}"'
        status, reply = self.send(
            "POST",
            "/api/documents/files",
            head.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n",
            **{
                "authorization": f"Bearer {self.server.secret_key}",
                "content-type": "multipart/form-data; boundary=x",
            },
        )
        if status == 201:
            return ""
        assert status == 400, reply
        assert reply["error"]["code"] == "document_refused"
        return str(reply["error"]["message"])


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with (
        new_database() as url,
        running_server(url, SITEBROOK_COMPUTE_TIME_S=str(_TIME_S)) as server,
    ):
        watched = Watched(server)
        with watched.watching():
            yield watched


@pytest.mark.parametrize("name", HOSTILE)
def test_each_ends_with_its_reason_and_the_server_answers_meanwhile(
    watched: Watched, name: str
) -> None:
    hostile = HOSTILE[name]
    content = hostile.make()
    watched.longest_s = 0.0
    reason = watched.upload(hostile.name, content)
    assert re.search(hostile.reason, reason) if hostile.reason else not reason
    assert watched.longest_s < _HEALTH_S
    assert not watched.failures


def test_many_at_once_hold_up_no_answer(watched: Watched) -> None:
    some = [one for name, one in HOSTILE.items() if "zip" in name or "PDF" in name][:12]
    uploads = [(one.name, one.make()) for one in some]
    watched.longest_s = 0.0
    threads = [threading.Thread(target=watched.upload, args=one) for one in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watched.longest_s < _HEALTH_S
    assert not watched.failures


def test_there_are_at_least_sixty() -> None:
    assert len(HOSTILE) >= 60
