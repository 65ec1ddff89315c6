"""What an answer cites, whether its model marked it, and that history keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes import openai_scripts
from tests.integration.api.client import CHAT, Api, apoll, events_of, question, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
_ASK = "How many passengers does the zeppelin Aurora carry?"
_AIRSHIPS = "The zeppelin Aurora carries forty passengers over the fjord every summer evening."
_CREWS = "The crew of the zeppelin Aurora are nine people: two pilots and seven stewards."
_SOURCES = {"air": ("Airships", _AIRSHIPS), "crew": ("Crews", _CREWS)}


def _put(api: Api, source: str, title: str, content: str) -> str:
    fields = {"source": source, "title": title, "content": content}
    reply = api.send("POST", "/api/documents", fields, api.site.server)
    assert reply.status == 201, reply
    return reply.json["id"]


@pytest.fixture
def documents(api: Api) -> Iterator[dict[str, str]]:
    """Two documents that go with the test: their ids by source."""
    ids = {source: _put(api, source, *of) for source, of in _SOURCES.items()}
    yield ids
    for one in ids.values():
        api.send("DELETE", f"/api/documents/{one}", None, api.site.server)


async def _ask(api: Api, text: str, **over: object) -> Any:
    """The whole answer of a model that says ``text``, once it finds both documents."""
    api.upstream.scripts["said"] = openai_scripts.playing(openai_scripts.events(tuple(text)))
    body = question(_ASK, model="up/said", **over)
    return await api.asend("POST", CHAT, body, api.site.server)


async def _said(api: Api, text: str) -> Any:
    async def read() -> Any:
        answer = (await _ask(api, text)).json
        return answer if answer["citations"] else None

    return await apoll(read, timeout_s=5)


async def test_a_passage_used_without_a_marker_is_cited_alike_in_every_form(
    api: Api, documents: dict[str, str]
) -> None:
    text = "Aurora carries forty passengers over the fjord. Two pilots and seven stewards are crew."
    plain = await _said(api, text)
    message = plain["choices"][0]["message"]
    assert message["content"] == text
    assert {one["document"] for one in plain["citations"]} == set(documents.values())
    assert [one["index"] for one in plain["citations"]] == [1, 2]
    spans = [one["url_citation"] for one in message["annotations"]]
    ends = [text.index(".") + 1, len(text)]
    assert [(one["start_index"], one["end_index"]) for one in spans] == [(at, at) for at in ends]

    streamed = await _ask(api, text, stream=True)
    chunks = events_of(streamed.body)
    assert text_of(chunks) == text
    cited = next(one for one in chunks if isinstance(one, dict) and "citations" in one)
    assert cited["citations"] == plain["citations"]
    assert cited["choices"][0]["delta"]["annotations"] == message["annotations"]


async def test_history_shows_the_same_citations_after_documents_changed_and_went(
    api: Api, documents: dict[str, str]
) -> None:
    plain = await _said(api, f"{_AIRSHIPS} [1] Two pilots and seven stewards are its crew.")
    assert len(plain["citations"]) == 2
    path = f"/api/conversations/{plain['conversation_id']}"

    async def read() -> Any:
        messages = (await api.asend("GET", path, None, api.site.server)).json["messages"]
        return messages[1]["citations"] if len(messages) > 1 else None

    assert await apoll(read) == plain["citations"]
    await asyncio.to_thread(_put, api, "air", "Balloons", "A balloon carries four.")
    await api.asend("DELETE", f"/api/documents/{documents['crew']}", None, api.site.server)
    assert await apoll(read) == plain["citations"]


async def test_a_marker_behind_a_false_quotation_is_shown_nowhere(
    api: Api, documents: dict[str, str]
) -> None:
    del documents
    await _said(api, f"{_AIRSHIPS} [1]")
    false = 'They say "the zeppelin Aurora carries ninety passengers over the sea" [1].'
    answer = (await _ask(api, false)).json
    assert answer["choices"][0]["message"]["content"] == false.replace("[1]", "")
    assert answer["citations"] == []
