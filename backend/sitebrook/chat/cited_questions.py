"""What visitors asked, with the documents that the answers cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import and_, bindparam, select
from sqlalchemy.dialects.postgresql import JSONB

from sitebrook.chat import tables
from sitebrook.db.engine import Database

_question: Final = tables.message.alias("question")
_answer: Final = tables.message.alias("answer")
# The first question of each conversation: later ones may need what was said before them.
_CITED: Final = (
    select(_question.c.content, _answer.c.citations)
    .select_from(tables.conversation)
    .join(
        _question,
        and_(
            _question.c.conversation_id == tables.conversation.c.id,
            _question.c.number == 0,
            _question.c.role == "user",
        ),
    )
    .join(
        _answer,
        and_(
            _answer.c.conversation_id == tables.conversation.c.id,
            _answer.c.number == 1,
            _answer.c.role == "assistant",
            _answer.c.status == "complete",
        ),
    )
    .where(
        tables.conversation.c.site_id == bindparam("site_id"),
        _answer.c.citations != bindparam("none", [], JSONB),
    )
    .order_by(tables.conversation.c.updated_at.desc(), tables.conversation.c.id)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class CitedQuestion:
    """A question, and the ids of the documents that its answer cites."""

    text: str
    document_ids: tuple[str, ...]


async def load_cited_questions(
    database: Database, site_id: str, *, limit: int
) -> list[CitedQuestion]:
    """The first question of each conversation whose whole answer cites something, newest first."""
    async with database.begin() as connection:
        rows = await connection.execute(_CITED, {"site_id": site_id, "limit": limit})
        return [CitedQuestion(row.content, _documents(row.citations)) for row in rows]


def _documents(citations: Any) -> tuple[str, ...]:
    found = cast("list[dict[str, Any]]", citations)
    return tuple(dict.fromkeys(str(citation["document"]) for citation in found))
