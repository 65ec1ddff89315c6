"""Two servers of one database: what one stores, the other's next search finds, and whole."""

from __future__ import annotations

import json
import re
import threading

from tests.fakes.redis_server import RedisServer
from tests.integration.redis.asking import Reply, send
from tests.servers import RunningServer, running_server

_ROUNDS = 8
_PARTS = 5


class _Site:
    """A site that is written at one server and searched at the other one."""

    def __init__(self, writing: RunningServer, searching: RunningServer) -> None:
        self._writing, self._searching = writing, searching
        self._headers = {
            "authorization": f"Bearer {writing.secret_key}",
            "content-type": "application/json",
        }

    def store(self, number: int) -> str:
        """The id of the document, which then is of this round in each of its chunks."""
        parts = [
            f"## Part {at}\n\n" + f"The walrus {at} is of round{number}. " * (12 + number % 3)
            for at in range(_PARTS)
        ]
        body = {"source": "walrus", "title": "Walrus", "content": "\n\n".join(parts)}
        reply = self._send(self._writing, "POST", "/api/documents", json.dumps(body))
        assert reply.status in {200, 201}, reply.body
        return reply.json["id"]

    def delete(self, document_id: str) -> None:
        assert self._send(self._writing, "DELETE", f"/api/documents/{document_id}").status == 200

    def rounds(self) -> set[str]:
        """The rounds that the other server's passages are of."""
        reply = self._send(self._searching, "GET", "/api/search?question=walrus&limit=20")
        assert reply.status == 200, reply.body
        texts = [one["text"] for one in reply.json["data"] if one["title"] == "Walrus"]
        return {found for text in texts for found in re.findall(r"round\d+", text)}

    def _send(
        self, server: RunningServer, method: str, path: str, body: str | None = None
    ) -> Reply:
        return send(server, method, path, body, self._headers)


def test_what_one_server_stores_the_next_search_of_another_finds_whole(
    database_url: str, redis_server: RedisServer
) -> None:
    settings = {"REDIS_URL": redis_server.url}
    with (
        running_server(database_url, **settings) as writing,
        running_server(database_url, **settings) as searching,
    ):
        site = _Site(writing, searching)
        seen: list[set[str]] = []
        has_ended = threading.Event()

        def search() -> None:
            while not has_ended.is_set():
                seen.append(site.rounds())

        document_id = site.store(0)
        searcher = threading.Thread(target=search)
        searcher.start()
        try:
            for number in range(1, _ROUNDS):
                assert site.store(number) == document_id
                assert site.rounds() == {f"round{number}"}
        finally:
            has_ended.set()
            searcher.join(30)
        # Each search saw one version of the document, and several were seen.
        assert {len(rounds) for rounds in seen} == {1}
        assert len(set.union(*seen)) > 1
        site.delete(document_id)
        assert site.rounds() == set()
