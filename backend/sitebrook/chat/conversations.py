"""Conversations in the database, read by their callers and written turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ARRAY, Text, TextClause, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access.gate import Caller
from sitebrook.chat import tables
from sitebrook.chat.citations import Citation
from sitebrook.db.engine import Database
from sitebrook.errors import NotFound
from sitebrook.ids import is_id
from sitebrook.providers.protocol import PromptMessage

_HISTORY_MESSAGES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One turn as it is kept."""

    id: str
    role: Literal["user", "assistant"]
    content: str
    status: Literal["complete", "interrupted"]
    citations: tuple[Citation, ...]
    model: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuestion:
    """A question to keep; ``begins`` when it is the first of its conversation."""

    id: str
    conversation_id: str
    begins: bool
    content: str
    site_id: str
    visitor_id: str | None
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer to keep; ``interrupted`` ones hold the text so far."""

    id: str
    conversation_id: str
    content: str
    status: Literal["complete", "interrupted"]
    citations: tuple[Citation, ...] = ()
    model: str = ""
    provider: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Conversations:
    """Every conversation of every site; a caller sees its own only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_history(self, caller: Caller, conversation_id: str) -> list[PromptMessage]:
        """The last 100 turns, oldest first. Raises NotFound when it is not the caller's."""
        message = tables.message
        async with self._database.begin() as connection:
            await _check_owner(connection, caller, conversation_id)
            statement = (
                select(message.c.role, message.c.content)
                .where(message.c.conversation_id == conversation_id)
                .order_by(message.c.number.desc())
                .limit(_HISTORY_MESSAGES)
            )
            rows = (await connection.execute(statement)).all()
        return [PromptMessage(role=row.role, content=row.content) for row in reversed(rows)]

    async def load_messages(self, caller: Caller, conversation_id: str) -> list[StoredMessage]:
        """Every turn, oldest first. Raises NotFound when it is not the caller's."""
        message = tables.message
        async with self._database.begin() as connection:
            await _check_owner(connection, caller, conversation_id)
            statement = (
                select(message)
                .where(message.c.conversation_id == conversation_id)
                .order_by(message.c.number)
            )
            return [_to_message(row) for row in await connection.execute(statement)]

    async def store(self, turns: Sequence[NewQuestion | NewAnswer]) -> None:
        """Keeps each turn at the end of its conversation, in their order, in one transaction.

        A question that is asked again because it got no answer is kept once. Turns of
        conversations that are gone meanwhile are dropped with them; what is stored already stays,
        since a commit may reach a database whose reply does not come back.
        """
        ids = [turn.conversation_id for turn in turns]
        async with self._database.begin() as connection:
            await connection.execute(_LOCK, {"ids": ids})
            for statement, alike in groupby(turns, key=_statement_for):
                await connection.execute(statement, [_to_row(turn) for turn in alike])


# Locks the conversations in one order for all, so that no two writers wait for each other, and so
# that two tabs cannot take the same number.
_LOCK: Final = text(
    """
    WITH locked AS (
        SELECT id FROM conversation WHERE id = ANY(:ids) ORDER BY id FOR UPDATE
    )
    UPDATE conversation SET updated_at = now() FROM locked WHERE conversation.id = locked.id
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))

# A question that got no answer and is asked again stands there already.
_APPEND_QUESTION: Final = text(
    """
    WITH last AS (
        SELECT number, role, content FROM message
        WHERE conversation_id = :conversation_id ORDER BY number DESC LIMIT 1
    )
    INSERT INTO message (id, conversation_id, number, role, content)
    SELECT :id, conversation.id, coalesce((SELECT number FROM last), -1) + 1, 'user', :content
    FROM conversation WHERE conversation.id = :conversation_id
    AND NOT EXISTS (SELECT FROM last WHERE role = 'user' AND content = :content)
    ON CONFLICT (id) DO NOTHING
    """
)

_APPEND_ANSWER: Final = text(
    """
    INSERT INTO message (
        id, conversation_id, number, role, content, status, citations,
        model, provider, finish_reason, prompt_tokens, completion_tokens
    )
    SELECT
        :id, conversation.id,
        (SELECT coalesce(max(number), -1) + 1 FROM message
         WHERE conversation_id = conversation.id),
        'assistant', :content, :status, CAST(:citations AS jsonb),
        :model, :provider, :finish_reason, :prompt_tokens, :completion_tokens
    FROM conversation WHERE conversation.id = :conversation_id
    ON CONFLICT (id) DO NOTHING
    """
)

_BEGIN: Final = text(
    """
    WITH asking AS (
        INSERT INTO visitor (id, site_id, origin)
        SELECT :visitor_id, :site_id, :origin WHERE CAST(:visitor_id AS text) IS NOT NULL
        ON CONFLICT (id) DO UPDATE SET seen_at = now()
    ), begun AS (
        INSERT INTO conversation (id, site_id, visitor_id)
        VALUES (:conversation_id, :site_id, :visitor_id)
        ON CONFLICT (id) DO NOTHING
    )
    INSERT INTO message (id, conversation_id, number, role, content)
    VALUES (:id, :conversation_id, 0, 'user', :content)
    ON CONFLICT (id) DO NOTHING
    """
).bindparams(bindparam("visitor_id", type_=Text))


def _statement_for(turn: NewQuestion | NewAnswer) -> TextClause:
    if isinstance(turn, NewAnswer):
        return _APPEND_ANSWER
    return _BEGIN if turn.begins else _APPEND_QUESTION


def _to_row(turn: NewQuestion | NewAnswer) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(turn, name) for name in turn.__slots__}
    if isinstance(turn, NewAnswer):
        row["citations"] = msgspec.json.encode(turn.citations).decode()
    return row


async def _check_owner(connection: AsyncConnection, caller: Caller, conversation_id: str) -> None:
    found = tables.conversation
    statement = select(found.c.visitor_id).where(
        found.c.id == conversation_id, found.c.site_id == caller.site.id
    )
    row = (await connection.execute(statement)).first() if is_id(conversation_id) else None
    may_read = caller.has_secret_key or (
        caller.visitor_id is not None and row is not None and row.visitor_id == caller.visitor_id
    )
    if row is None or not may_read:
        raise NotFound(
            "There is no such conversation; a question without conversation_id begins one.",
            param="conversation_id",
            code="conversation_not_found",
        )


def _to_message(row: Any) -> StoredMessage:
    return StoredMessage(
        id=row.id,
        role=row.role,
        content=row.content,
        status=row.status,
        citations=msgspec.convert(row.citations, tuple[Citation, ...]),
        model=row.model,
        created_at=row.created_at,
    )
