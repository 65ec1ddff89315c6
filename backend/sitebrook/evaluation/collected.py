"""Judged questions out of a site's conversations: what answers cite counts as relevant."""

from __future__ import annotations

from typing import Final

from sitebrook.chat.cited_questions import load_cited_questions
from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.retrieval.documents import load_source_names

_MAX_CONVERSATIONS: Final = 10_000


async def collect(database: Database, site_id: str) -> JudgedSet:
    """The first question of each conversation with the documents that its answer cites.

    A question asked several times stands once, with the documents of all its answers. Documents
    are named by their source; those that are gone are left out. Raises InvalidRequest when nothing
    is left.
    """
    asked = await load_cited_questions(database, site_id, limit=_MAX_CONVERSATIONS)
    cited_ids = {document_id for one in asked for document_id in one.document_ids}
    sources = await load_source_names(database, site_id, cited_ids)
    relevant: dict[str, dict[str, int]] = {}
    texts: dict[str, str] = {}
    for one in asked:
        cited = {sources[name]: 1 for name in one.document_ids if name in sources}
        if cited:
            key = " ".join(one.text.casefold().split())
            texts.setdefault(key, one.text)
            relevant.setdefault(key, {}).update(cited)
    if not relevant:
        raise InvalidRequest(
            "No conversation of the site begins with a question whose answer cites a document that "
            "is still there."
        )
    names = {key: f"q{number}" for number, key in enumerate(relevant, start=1)}
    return JudgedSet(
        name="conversations",
        documents=(),
        questions={name: texts[key] for key, name in names.items()},
        relevant={name: relevant[key] for key, name in names.items()},
    )
