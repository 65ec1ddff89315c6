from __future__ import annotations

from dataclasses import replace

import pytest
from tests.factories import make_key, make_site

from sitebrook.access.gate import Caller
from sitebrook.chat.conversations import Conversations, NewAnswer, NewQuestion
from sitebrook.db.engine import Database
from sitebrook.errors import NotFound

CONVERSATION = "conv_" + "1" * 22


def question(caller: Caller, content: str, **over: object) -> NewQuestion:
    values = {
        "id": "msg_1",
        "conversation_id": CONVERSATION,
        "begins": True,
        "content": content,
        "site_id": caller.site.id,
        "visitor_id": caller.visitor_id,
        "origin": "",
    }
    return NewQuestion(**{**values, **over})


def answer(content: str, **over: object) -> NewAnswer:
    values = {"id": "ans_1", "conversation_id": CONVERSATION, "status": "complete"}
    return NewAnswer(content=content, **{**values, **over})


@pytest.fixture
async def caller(database: Database) -> Caller:
    site = await make_site(database)
    return Caller(site, (await make_key(database, site)).key.id, "site", None)


async def contents(conversations: Conversations, caller: Caller) -> list[str]:
    return [turn.content for turn in await conversations.load_messages(caller, CONVERSATION)]


async def test_turns_that_are_stored_again_stand_there_once(
    database: Database, caller: Caller
) -> None:
    conversations = Conversations(database)
    turns = [question(caller, "Why?"), answer("So.")]
    await conversations.store(turns)
    await conversations.store(turns)
    assert await contents(conversations, caller) == ["Why?", "So."]


async def test_turns_of_one_batch_keep_their_order(database: Database, caller: Caller) -> None:
    conversations = Conversations(database)
    await conversations.store(
        [
            question(caller, "One?"),
            answer("1"),
            question(caller, "Two?", id="msg_2", begins=False),
            answer("2", id="ans_2"),
        ]
    )
    assert await contents(conversations, caller) == ["One?", "1", "Two?", "2"]


async def test_a_question_asked_again_without_an_answer_is_kept_once(
    database: Database, caller: Caller
) -> None:
    conversations = Conversations(database)
    again = [
        question(caller, "Why?", id=f"msg_{number}", begins=number == 1) for number in (1, 2, 3)
    ]
    await conversations.store(again)
    assert await contents(conversations, caller) == ["Why?"]


async def test_a_visitor_is_known_from_the_first_question_on(
    database: Database, caller: Caller
) -> None:
    visitor = replace(caller, role="visitor", visitor_id="vis_1")
    conversations = Conversations(database)
    await conversations.store([question(visitor, "Why?")])
    assert await contents(conversations, visitor) == ["Why?"]
    other = replace(visitor, visitor_id="vis_2")
    with pytest.raises(NotFound):
        await conversations.load_messages(other, CONVERSATION)


async def test_turns_of_a_conversation_that_is_gone_are_dropped(
    database: Database, caller: Caller
) -> None:
    conversations = Conversations(database)
    await conversations.store(
        [
            answer("late", conversation_id="conv_" + "0" * 22),
            question(caller, "late?", id="msg_2", conversation_id="conv_" + "0" * 22, begins=False),
            question(caller, "Why?"),
        ]
    )
    assert await contents(conversations, caller) == ["Why?"]
