"""Conversations in the database, read by their callers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import bindparam, select
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


class Conversations:
    """Every conversation of every site; a caller sees its own only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_history(self, caller: Caller, conversation_id: str) -> list[PromptMessage]:
        """The last 100 turns, oldest first. Raises NotFound when it is not the caller's."""
        if not is_id(conversation_id):
            raise _not_found()
        async with self._database.begin() as connection:
            wanted = {"id": conversation_id, "site_id": caller.site.id}
            rows = (await connection.execute(_HISTORY, wanted)).all()
        if not rows or not _may_read(caller, rows[0].visitor_id):
            raise _not_found()
        turns = (row for row in reversed(rows) if row.role is not None)
        return [PromptMessage(role=row.role, content=row.content) for row in turns]

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


# Owner and turns at once: a row without a turn is a conversation that has none.
_HISTORY: Final = (
    select(tables.conversation.c.visitor_id, tables.message.c.role, tables.message.c.content)
    .select_from(tables.conversation.outerjoin(tables.message))
    .where(
        tables.conversation.c.id == bindparam("id"),
        tables.conversation.c.site_id == bindparam("site_id"),
    )
    .order_by(tables.message.c.number.desc())
    .limit(_HISTORY_MESSAGES)
)


async def _check_owner(connection: AsyncConnection, caller: Caller, conversation_id: str) -> None:
    found = tables.conversation
    statement = select(found.c.visitor_id).where(
        found.c.id == conversation_id, found.c.site_id == caller.site.id
    )
    row = (await connection.execute(statement)).first() if is_id(conversation_id) else None
    if row is None or not _may_read(caller, row.visitor_id):
        raise _not_found()


def _may_read(caller: Caller, visitor_id: str | None) -> bool:
    is_own = caller.visitor_id is not None and caller.visitor_id == visitor_id
    return caller.has_secret_key or is_own


def _not_found() -> NotFound:
    return NotFound(
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
