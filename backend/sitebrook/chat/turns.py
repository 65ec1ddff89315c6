"""The turns of conversations on their way into the database."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, LiteralString

import msgspec

from sitebrook.chat.citations import Citation
from sitebrook.db.direct import DirectConnection
from sitebrook.db.pipeline import Statement
from sitebrook.telemetry.logs import request_id


class NewQuestion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question to keep; ``begins`` when it is the first of its conversation."""

    id: str
    conversation_id: str
    begins: bool
    content: str
    site_id: str
    visitor_id: str | None
    origin: str
    role: Literal["user"] = "user"
    # For the log of the task that stores it, which outlives the request.
    request_id: str = msgspec.field(default_factory=request_id.get)


class NewAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    upstream_model: str = ""
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    is_estimated: bool | None = None
    cost: Decimal | None = None
    role: Literal["assistant"] = "assistant"
    request_id: str = msgspec.field(default_factory=request_id.get)


Turn = NewQuestion | NewAnswer
_encode: Final = msgspec.json.Encoder().encode


class TurnStore:
    """Writes turns, many at once, over a connection of its own."""

    def __init__(self, connection: DirectConnection) -> None:
        self._connection = connection

    async def store(self, turns: Sequence[Turn]) -> None:
        """Keeps each turn at the end of its conversation, in their order, in one transaction.

        A question that is asked again because it got no answer is kept once. Turns of
        conversations that are gone meanwhile are dropped with them; what is stored already stays,
        since a commit may reach a database whose reply does not come back. Raises Unavailable.
        """
        kept = _without_repeats(turns)
        begun = {one.conversation_id for one in kept if isinstance(one, NewQuestion) and one.begins}
        known = sorted({one.conversation_id for one in kept} - begun)
        statements = [Statement(_LOCK, (_encode(known),))] if known else []
        statements.append(Statement(_APPEND, (_encode(kept),)))
        await self._connection.run(statements)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._connection.aclose()


def _without_repeats(turns: Sequence[Turn]) -> list[Turn]:
    """The turns without questions that repeat the turn before them in their conversation."""
    kept: list[Turn] = []
    last: dict[str, Turn] = {}
    for turn in turns:
        before = last.get(turn.conversation_id)
        is_repeated = before is not None and (before.role, before.content) == ("user", turn.content)
        if turn.role == "assistant" or not is_repeated:
            kept.append(turn)
            last[turn.conversation_id] = turn
    return kept


# Locks the conversations in one order for all, so that no two writers wait for each other, and so
# that two tabs cannot take the same number: the statement after it sees what was stored meanwhile.
_LOCK: Final[LiteralString] = """
    WITH locked AS (
        SELECT id FROM conversation
        WHERE id = ANY(ARRAY(SELECT json_array_elements_text($1::json)))
        ORDER BY id FOR UPDATE
    )
    UPDATE conversation SET updated_at = now() FROM locked WHERE conversation.id = locked.id
"""

# One parameter whatever the batch: PostgreSQL reads the JSON at no cost to this process, and plans
# the statement once. ``begun`` is empty for a site that is gone. A first turn of the batch that
# repeats a question without an answer stands there already.
_APPEND: Final[LiteralString] = """
    WITH turn AS (
        SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY place) AS turn_number
        FROM ROWS FROM (json_to_recordset($1::json) AS (
            id text, conversation_id text, begins boolean, role text, content text, site_id text,
            visitor_id text, origin text, status text, citations jsonb, model text, provider text,
            finish_reason text, prompt_tokens integer, completion_tokens integer,
            upstream_model text, cached_tokens integer, reasoning_tokens integer,
            is_estimated boolean, cost numeric
        )) WITH ORDINALITY AS turn (
            id, conversation_id, begins, role, content, site_id,
            visitor_id, origin, status, citations, model, provider,
            finish_reason, prompt_tokens, completion_tokens,
            upstream_model, cached_tokens, reasoning_tokens,
            is_estimated, cost, place
        )
    ), begun AS (
        SELECT turn.* FROM turn JOIN site ON site.id = turn.site_id WHERE turn.begins
    ), asking AS (
        INSERT INTO visitor (id, site_id, origin)
        SELECT DISTINCT ON (visitor_id) visitor_id, site_id, origin
        FROM begun WHERE visitor_id IS NOT NULL ORDER BY visitor_id
        ON CONFLICT (id) DO UPDATE SET seen_at = now()
    ), conversing AS (
        INSERT INTO conversation (id, site_id, visitor_id)
        SELECT conversation_id, site_id, visitor_id FROM begun
        ON CONFLICT (id) DO NOTHING
    ), placed AS (
        SELECT turn.*, coalesce(last.number, -1) + row_number() OVER (
            PARTITION BY turn.conversation_id ORDER BY turn.place
        ) AS number
        FROM turn
        LEFT JOIN conversation AS known ON known.id = turn.conversation_id
        LEFT JOIN LATERAL (
            SELECT number, role, content FROM message
            WHERE message.conversation_id = turn.conversation_id ORDER BY number DESC LIMIT 1
        ) AS last ON true
        WHERE (
            known.id IS NOT NULL
            OR turn.conversation_id IN (SELECT conversation_id FROM begun)
        )
        AND NOT EXISTS (SELECT FROM message WHERE message.id = turn.id)
        AND (
            turn.role = 'user' AND last.role = 'user' AND last.content = turn.content
            AND turn.turn_number = 1
        ) IS NOT TRUE
    )
    INSERT INTO message (
        id, conversation_id, number, role, content, status, citations, model, provider,
        finish_reason, prompt_tokens, completion_tokens,
        upstream_model, cached_tokens, reasoning_tokens, is_estimated, cost
    )
    SELECT
        id, conversation_id, number, role, content,
        coalesce(status, 'complete'), coalesce(citations, '[]'), model, provider,
        finish_reason, prompt_tokens, completion_tokens,
        upstream_model, cached_tokens, reasoning_tokens, is_estimated, cost
    FROM placed
    ON CONFLICT (id) DO NOTHING
"""
