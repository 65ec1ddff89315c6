"""Postings made and joined: what children do for ``Indexer``."""

from __future__ import annotations

from typing import Final

import msgspec

from sitebrook.compute.work import Work
from sitebrook.retrieval.postings import IndexedChunk, Numbers, Postings, join, to_postings
from sitebrook.retrieval.words import to_words


class UnindexedChunk(msgspec.Struct, frozen=True):
    """A chunk whose words are to be found in ``text``; ``number`` is its number in the site."""

    number: int
    chunk_id: str
    language: str
    text: str


class IndexRequest(msgspec.Struct, frozen=True):
    """Chunks to be made one Postings."""

    chunks: list[UnindexedChunk]


class JoinRequest(msgspec.Struct, frozen=True):
    """Postings to be made one, and the numbers of chunks that are left out."""

    parts: list[Postings]
    gone: Numbers


def index_chunks(asked: IndexRequest) -> Postings:
    """The postings of the chunks."""
    chunks = [
        IndexedChunk(one.number, one.chunk_id, one.language, to_words(one.text, one.language))
        for one in asked.chunks
    ]
    return to_postings(chunks)


def join_parts(asked: JoinRequest) -> Postings:
    """The postings of the parts' chunks, see ``postings.join``."""
    return join(asked.parts, asked.gone)


INDEX: Final = Work("sitebrook.retrieval.indexing:index_chunks", IndexRequest, Postings)
JOIN: Final = Work("sitebrook.retrieval.indexing:join_parts", JoinRequest, Postings)
