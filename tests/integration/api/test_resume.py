"""Answers that go on without their client, and are joined again by their id."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.openai_scripts import ROLE, event, events, stream
from tests.fakes.upstream import Exchange
from tests.integration.api.client import SIMPLE, Api, assert_is_error, poll
from tests.integration.resuming import RESUME, Stream, ask, resume, shown

PACED = "paced/mock"
QUESTION = "How long does it take to mend a spinnaker?"


@pytest.fixture(scope="module")
def visitor(api: Api) -> dict[str, str]:
    """Headers of a visitor of the site."""
    return api.site.visitor(api.send("POST", "/api/visitors", {}, api.site.page).json["token"])


def _cancel(api: Api, answer_id: str, headers: dict[str, str]) -> Any:
    return api.send("POST", f"/api/answers/{answer_id}/cancel", None, headers)


@pytest.mark.parametrize("path", ["/v1/chat/completions", SIMPLE])
def test_an_answer_is_the_same_behind_every_position(api: Api, path: str) -> None:
    port, headers = api.server.port, api.site.server
    over = {"stream_options": {"include_usage": True}} if path != SIMPLE else {}
    whole = ask(port, headers, QUESTION, path=path, model="mock", **over)
    frames = whole.read_all()
    assert frames[-1].data == "[DONE]"
    ids = [frame.id for frame in frames if frame.id]
    assert len(ids) == len(set(ids)) >= 8
    for place, frame in enumerate(frames):
        if frame.id:
            rest = resume(port, headers, whole.answer_id, frame.id)
            assert rest.headers["x-answer-id"] == whole.answer_id
            assert shown(rest.read_all()) == shown(frames[place + 1 :])
    again = resume(port, headers, whole.answer_id)
    assert again.read_all() == frames
    assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert again.headers["cache-control"] == "no-cache, no-transform"


def test_only_those_who_ask_for_it_get_ids(api: Api) -> None:
    body = {"model": "mock", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    for headers in (api.site.server, {**api.site.server, "x-sitebrook-resume": "0"}):
        stream = Stream(api.server.port, "POST", "/v1/chat/completions", body, headers)
        assert not any(frame.id for frame in stream.read_all())
        refused = resume(api.server.port, api.site.server, stream.answer_id)
        assert refused.status == 404
        assert refused.error["code"] == "answer_not_found"
    plain = api.ask("hello", {**api.site.server, **RESUME})
    assert plain.json["choices"][0]["message"]["content"]


def test_an_answer_goes_on_when_its_client_leaves(api: Api) -> None:
    server = api.site.server
    first = ask(api.server.port, server, QUESTION, model=PACED)
    conversation = first.read(1)[0].data["conversation_id"]
    first.read(2)
    first.leave()
    second = resume(api.server.port, server, first.answer_id, first.position)
    second.read(2)
    second.leave()
    third = resume(api.server.port, server, first.answer_id, query=f"?after={second.position}")
    assert third.read_all()[-1].data == "[DONE]"
    path = f"/api/conversations/{conversation}"
    (_, stored) = api.send("GET", path, None, server).json["messages"]
    assert (stored["id"], stored["status"]) == (first.answer_id, "complete")
    assert first.text + second.text + third.text == stored["content"]


def test_without_a_reader_it_is_stored_whole_too(api: Api) -> None:
    server = api.site.server
    first = ask(api.server.port, server, QUESTION, model=PACED)
    conversation = first.read(1)[0].data["conversation_id"]
    first.leave()

    def is_stored() -> bool:
        found = api.send("GET", f"/api/conversations/{conversation}", None, server)
        messages = found.json.get("messages", [])
        return len(messages) == 2 and messages[1]["status"] == "complete"

    poll(is_stored)


def test_several_clients_follow_one_answer(api: Api) -> None:
    server = api.site.server
    first = ask(api.server.port, server, QUESTION, model=PACED)
    first.read(1)
    others = [resume(api.server.port, server, first.answer_id) for _ in range(3)]
    first.read_all()
    for other in others:
        other.read_all()
        assert other.text == first.text


def test_an_answer_is_its_visitors_and_its_sites(api: Api, visitor: dict[str, str]) -> None:
    mine = ask(api.server.port, visitor, "hello")
    mine.read_all()
    stranger = api.site.visitor(api.send("POST", "/api/visitors", {}, api.site.page).json["token"])
    messages: set[str] = set()
    for headers in (stranger, api.other.server):
        refused = resume(api.server.port, headers, mine.answer_id)
        assert refused.status == 404
        messages.add(refused.error["message"])
        assert_is_error(_cancel(api, mine.answer_id, headers), 404, "answer_not_found")
    for unknown in ("ans_0000000000000000000000", "x", "ans_%7B%7D", mine.answer_id + "x"):
        refused = resume(api.server.port, api.site.server, unknown)
        assert refused.status == 404
        messages.add(refused.error["message"])
    assert len(messages) == 1
    assert resume(api.server.port, api.site.server, mine.answer_id).read_all()
    assert resume(api.server.port, visitor, mine.answer_id).read_all()
    by_page = resume(api.server.port, api.site.page, mine.answer_id)
    assert (by_page.status, by_page.error["code"]) == (403, "ticket_required")
    theirs = ask(api.server.port, api.site.server, "hello", model="mock")
    theirs.read_all()
    assert resume(api.server.port, visitor, theirs.answer_id).status == 404


def test_a_ticket_opens_one_answer(api: Api, visitor: dict[str, str]) -> None:
    answers = [ask(api.server.port, visitor, "hello") for _ in range(2)]
    for answer in answers:
        answer.read_all()
    path = f"/api/answers/{answers[0].answer_id}/stream"
    made = api.send("POST", "/api/tickets", {"path": path}, visitor)
    query = f"?ticket={made.json['ticket']}"
    assert resume(api.server.port, {}, answers[1].answer_id, query=query).status == 401
    assert resume(api.server.port, {}, answers[0].answer_id, query=query).read_all()
    assert resume(api.server.port, {}, answers[0].answer_id, query=query).status == 401
    assert_is_error(
        api.send("POST", "/api/tickets", {"path": "/api/answers/x/stream"}, visitor),
        400,
        "invalid_value",
        "path",
    )


@pytest.mark.parametrize(
    ("after", "code"), [("x", "invalid_position"), ("1-99999", "position_ahead")]
)
def test_a_position_that_cannot_be_is_refused(api: Api, after: str, code: str) -> None:
    answer = ask(api.server.port, api.site.server, "hello", model="mock")
    answer.read_all()
    refused = resume(api.server.port, api.site.server, answer.answer_id, after)
    assert refused.status == 400
    error = refused.error
    assert (error["code"], error["param"]) == (code, "after")


def test_who_cancels_ends_it_for_all_and_what_was_said_stays(api: Api) -> None:
    server = api.site.server
    first = ask(api.server.port, server, QUESTION, model=PACED)
    conversation = first.read(1)[0].data["conversation_id"]
    other = resume(api.server.port, server, first.answer_id)
    first.read(3)
    reply = _cancel(api, first.answer_id, server)
    assert (reply.status, reply.json) == (200, {"id": first.answer_id, "was_running": True})
    for reader in (first, other, resume(api.server.port, server, first.answer_id)):
        *_, last = reader.read_all()
        assert last.data["error"]["code"] == "answer_cancelled"
    assert _cancel(api, first.answer_id, server).json["was_running"] is False
    path = f"/api/conversations/{conversation}"
    (_, stored) = api.send("GET", path, None, server).json["messages"]
    assert stored["status"] == "interrupted"
    assert stored["content"] == first.text


@pytest.mark.asyncio(loop_scope="session")
async def test_a_failure_is_read_again_as_it_was(api: Api) -> None:
    def run() -> None:
        first = ask(api.server.port, api.site.server, "hello", model="up/truncated")
        frames = first.read_all()
        assert first.text
        assert frames[-1].data["error"]["code"] == "provider_broke_off"
        again = resume(api.server.port, api.site.server, first.answer_id)
        assert again.read_all() == frames

    await asyncio.to_thread(run)


@pytest.mark.asyncio(loop_scope="session")
async def test_an_answer_can_be_joined_before_its_first_delta(api: Api) -> None:
    is_joined = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def late(exchange: Exchange) -> None:
        await stream(exchange, [ROLE])
        await is_joined.wait()
        for payload in events()[1:]:
            await exchange.chunk(event(payload))
        await exchange.end()

    def run() -> None:
        first = ask(api.server.port, api.site.server, "hello", model="up/late-first")
        assert first.status == 200
        other = resume(api.server.port, api.site.server, first.answer_id)
        loop.call_soon_threadsafe(is_joined.set)
        assert first.read_all()[-1].data == "[DONE]"
        other.read_all()
        assert first.text == other.text != ""

    api.upstream.scripts["late-first"] = late
    await asyncio.to_thread(run)


def test_what_is_refused_leaves_nothing_to_resume(api: Api) -> None:
    refused = ask(api.server.port, api.site.server, "hello", model="no-such-model")
    assert refused.status == 404
    assert refused.error["code"] == "model_not_found"


def test_other_methods_are_refused(api: Api) -> None:
    reply = api.send("POST", "/api/answers/ans_x/stream", {}, api.site.server)
    assert_is_error(reply, 405)
    assert "GET" in reply.headers["allow"]
