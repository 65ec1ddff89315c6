from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from tests.factories import make_key, make_site

from sitebrook.access.gate import Caller
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.turns import NewAnswer, NewQuestion, TurnStore
from sitebrook.chat.writer import TurnWriter
from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.ids import new_id


@pytest.fixture
async def caller(database: Database) -> Caller:
    site = await make_site(database)
    return Caller(site, (await make_key(database, site)).key.id, "site", None)


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[TurnWriter]:
    async with running(database.url) as writer:
        yield writer


@contextlib.asynccontextmanager
async def running(url: str) -> AsyncIterator[TurnWriter]:
    writer = TurnWriter(TurnStore(DirectConnection(url)))
    task = asyncio.create_task(writer.run())
    yield writer
    task.cancel()
    await asyncio.wait({task})


def first_question(caller: Caller, content: str = "Why?") -> NewQuestion:
    return NewQuestion(
        id=new_id("msg"),
        conversation_id=new_id("conv"),
        begins=True,
        content=content,
        site_id=caller.site.id,
        visitor_id=None,
        origin="",
    )


def answer_to(question: NewQuestion, content: str = "So.") -> NewAnswer:
    return NewAnswer(
        id=new_id("ans"),
        conversation_id=question.conversation_id,
        content=content,
        status="complete",
    )


async def turns_of(database: Database, caller: Caller, question: NewQuestion) -> list[object]:
    history = await Conversations(database).load_history(caller, question.conversation_id)
    return [turn.content for turn in history]


async def test_an_answer_that_is_awaited_is_stored_without_collecting_more(
    database: Database, writer: TurnWriter, caller: Caller
) -> None:
    await writer.store(answer_to(first_question(caller)))  # opens the connection
    since = time.perf_counter()
    for _ in range(10):
        question = first_question(caller)
        writer.put(question)
        await writer.store(answer_to(question))
        assert await turns_of(database, caller, question) == ["Why?", "So."]
    assert time.perf_counter() - since < 0.4  # ten times the collecting would be 0.5


async def test_what_nobody_waits_for_is_there_for_the_next_question(
    database: Database, writer: TurnWriter, caller: Caller
) -> None:
    question = first_question(caller)
    writer.put(question)
    await asyncio.sleep(0)
    writer.put(answer_to(question))
    await writer.settle(question.conversation_id)
    assert await turns_of(database, caller, question) == ["Why?", "So."]
    await asyncio.wait_for(writer.settle("conv_of_nothing"), 0.1)


async def test_a_turn_that_cannot_be_stored_stops_no_other_and_is_not_quoted(
    database: Database,
    writer: TurnWriter,
    caller: Caller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    questions = [first_question(caller), first_question(caller, "my secret \0")]
    questions += [first_question(caller, "my secret \ud800"), first_question(caller)]
    for question in questions:
        writer.put(question)
        writer.put(answer_to(question))
    await writer.drain(5)
    for question in (questions[0], questions[3]):
        assert await turns_of(database, caller, question) == ["Why?", "So."]
    assert caplog.text.count("turn not stored") == 2
    assert "secret" not in caplog.text


async def test_everything_put_is_stored_by_the_end(database: Database, caller: Caller) -> None:
    questions = [first_question(caller) for _ in range(250)]
    async with running(database.url) as writer:
        for question in questions:
            writer.put(question)
        await writer.drain(5)
    for question in (questions[0], questions[-1]):
        assert await turns_of(database, caller, question) == ["Why?"]


async def test_more_turns_than_may_wait_are_dropped_and_said(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    writer = TurnWriter(TurnStore(DirectConnection("postgresql://127.0.0.1:1/none")))
    for _ in range(10_002):
        writer.put(first_question(caller))
    assert caplog.text.count("too many are waiting") == 2
    await writer.store(first_question(caller))  # does not wait for what is not kept
