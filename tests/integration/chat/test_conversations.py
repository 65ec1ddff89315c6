from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from sqlalchemy import text
from tests.factories import make_key, make_site

from sitebrook.access.gate import Caller
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.turns import NewAnswer, NewQuestion, TurnStore
from sitebrook.db.direct import DirectConnection
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


@pytest.fixture
async def store(database: Database) -> AsyncIterator[TurnStore]:
    opened = TurnStore(DirectConnection(database.url))
    yield opened
    await opened.aclose()


async def contents(database: Database, caller: Caller) -> list[str]:
    return [
        turn.content for turn in await Conversations(database).load_messages(caller, CONVERSATION)
    ]


async def test_turns_that_are_stored_again_stand_there_once(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    turns = [question(caller, "Why?"), answer("So.")]
    await store.store(turns)
    await store.store(turns)
    assert await contents(database, caller) == ["Why?", "So."]


async def test_turns_of_one_batch_keep_their_order(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    await store.store(
        [
            question(caller, "One?"),
            answer("1"),
            question(caller, "Two?", id="msg_2", begins=False),
            answer("2", id="ans_2"),
        ]
    )
    assert await contents(database, caller) == ["One?", "1", "Two?", "2"]


async def test_a_question_asked_again_without_an_answer_is_kept_once(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    again = [
        question(caller, "Why?", id=f"msg_{number}", begins=number == 1) for number in (1, 2, 3)
    ]
    await store.store(again)
    assert await contents(database, caller) == ["Why?"]


async def test_a_visitor_is_known_from_the_first_question_on(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    visitor = structs.replace(caller, role="visitor", visitor_id="vis_1")
    await store.store([question(visitor, "Why?")])
    assert await contents(database, visitor) == ["Why?"]
    other = structs.replace(visitor, visitor_id="vis_2")
    with pytest.raises(NotFound):
        await Conversations(database).load_messages(other, CONVERSATION)


async def test_turns_of_a_conversation_that_is_gone_are_dropped(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    await store.store(
        [
            answer("late", conversation_id="conv_" + "0" * 22),
            question(caller, "late?", id="msg_2", conversation_id="conv_" + "0" * 22, begins=False),
            question(caller, "Why?"),
        ]
    )
    assert await contents(database, caller) == ["Why?"]


async def test_a_repeated_question_is_kept_once_beside_its_answer(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    await store.store([question(caller, "Why?")])
    again = question(caller, "Why?", id="msg_2", begins=False)
    await store.store([again, answer("So."), question(caller, "Why?", id="msg_3", begins=False)])
    assert await contents(database, caller) == ["Why?", "So.", "Why?"]


async def test_two_processes_never_take_the_same_number(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    await store.store([question(caller, "Why?")])

    async def write(name: str) -> None:
        own = TurnStore(DirectConnection(database.url))
        for number in range(20):
            turns = [question(caller, f"{name}{number}", id=f"msg_{name}{number}", begins=False)]
            await own.store([*turns, answer(f"{name}!", id=f"ans_{name}{number}")])
        await own.aclose()

    await asyncio.gather(write("a"), write("b"), write("c"))
    stored = await contents(database, caller)
    assert len(stored) == 121
    for name in "abc":
        own = [content for content in stored if content[0] == name and content[-1] != "!"]
        assert own == [f"{name}{number}" for number in range(20)]
        assert all(stored[stored.index(one) + 1] == f"{name}!" for one in own)


async def test_several_conversations_of_one_visitor_fit_into_one_batch(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    visitor = structs.replace(caller, role="visitor", visitor_id="vis_1")
    second = "conv_" + "2" * 22
    await store.store(
        [
            question(visitor, "Why?"),
            question(visitor, "How?", id="msg_2", conversation_id=second),
            answer("So.", conversation_id=second),
        ]
    )
    assert await contents(database, visitor) == ["Why?"]
    history = await Conversations(database).load_history(visitor, second)
    assert [turn.content for turn in history] == ["How?", "So."]


async def test_a_question_of_a_site_that_is_gone_leaves_the_others_stored(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    gone = "conv_" + "2" * 22
    await store.store(
        [
            question(caller, "late?", id="msg_2", conversation_id=gone, site_id="site_gone"),
            answer("late", conversation_id=gone),
            question(caller, "Why?"),
        ]
    )
    assert await contents(database, caller) == ["Why?"]
    with pytest.raises(NotFound):
        await Conversations(database).load_history(caller, gone)


async def test_a_connection_that_was_lost_meanwhile_costs_no_turn(
    database: Database, store: TurnStore, caller: Caller
) -> None:
    await store.store([question(caller, "Why?")])
    async with database.begin() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await store.store([answer("So.")])
    assert await contents(database, caller) == ["Why?", "So."]


async def test_storing_a_turn_reads_no_more_behind_many_conversations(
    database: Database, caller: Caller
) -> None:
    store = TurnStore(DirectConnection(database.url))
    for number in range(8):  # PostgreSQL keeps the plan it makes now, for small tables
        await store.store(turns_of(caller, number))
    async with database.begin() as connection:
        await connection.execute(_MANY, {"site": caller.site.id})
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    before = await count_reads(database)
    await store.store(turns_of(caller, 8))
    await store.aclose()  # tells what it read
    async with database.begin() as connection:
        await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    assert 0 < await count_reads(database) - before < 1000


_MANY = text(
    "WITH many AS (INSERT INTO conversation (id, site_id) SELECT 'conv_' || number, :site"
    " FROM generate_series(1, 3000) AS number RETURNING id)"
    " INSERT INTO message (id, conversation_id, number, role, content)"
    " SELECT 'msg_' || id, id, 0, 'user', 'Why?' FROM many"
)


def turns_of(caller: Caller, number: int) -> list[NewQuestion | NewAnswer]:
    own = f"conv_{number:022}"
    asked = question(caller, "Why?", id=f"msg_{number}", conversation_id=own)
    return [asked, answer("So.", id=f"ans_{number}", conversation_id=own)]


async def count_reads(database: Database) -> int:
    async with database.begin() as connection:
        return await connection.scalar(
            text(
                "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
                " FROM pg_stat_user_tables WHERE relname IN ('conversation', 'message')"
            )
        )
