"""Sites of any size: chunks put together from the sentences of judged sets, with made vectors."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pgvector import HalfVector
from sqlalchemy import text
from tests.factories import make_site

from sitebrook.db.engine import Database
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.language import detect_language
from sitebrook.retrieval.postings import MAX_CHUNKS, IndexedChunk, Postings, to_postings
from sitebrook.retrieval.stored_postings import Scope, write_postings
from sitebrook.retrieval.words import WORDS_FORMAT, to_words

DIMENSION = 384
_CHARACTERS = 700
_SENTENCE_CHARACTERS = (30, 400)
_CHUNKS_OF_DOCUMENT = 10
_CENTRES = 1_000
_ROWS_AT_ONCE = 2_000


class Sentence(NamedTuple):
    """A sentence with its words as the index knows them."""

    text: str
    words: tuple[str, ...]


class MadeChunk(NamedTuple):
    """A chunk of sentences, with the title of its document."""

    number: int
    language: str
    title: str
    text: str
    words: list[str]


@dataclass(frozen=True, slots=True)
class _Source:
    language: str
    titles: list[Sentence]
    sentences: list[Sentence]


class Texts:
    """Chunks without end: each document of one set's language, its sentences drawn by chance."""

    def __init__(self, sets: Sequence[JudgedSet]) -> None:
        self._sources = [_to_source(judged) for judged in sets]
        self._weights = [len(source.sentences) for source in self._sources]

    def chunks(self, count: int, seed: int = 1) -> Iterator[MadeChunk]:
        """The chunks of one site; the same for the same seed."""
        chance = random.Random(seed)
        source, title = self._sources[0], self._sources[0].sentences[0]
        for number in range(count):
            if number % _CHUNKS_OF_DOCUMENT == 0:
                (source,) = chance.choices(self._sources, self._weights)
                title = chance.choice(source.titles)
            parts: list[Sentence] = []
            while sum(len(part.text) for part in parts) < _CHARACTERS:
                parts.append(chance.choice(source.sentences))
            words = [*title.words, *(word for part in parts for word in part.words)]
            body = " ".join(part.text for part in parts)
            yield MadeChunk(number, source.language, title.text, body, words)


def to_indexed(chunks: Sequence[MadeChunk], site: str) -> list[Postings]:
    """The postings of the chunks, as few as they fit into."""
    rows = [IndexedChunk(one.number, _id(site, one.number), *one[1::3]) for one in chunks]
    return [to_postings(rows[at : at + MAX_CHUNKS]) for at in range(0, len(rows), MAX_CHUNKS)]


def make_vectors(count: int, seed: int = 1) -> Vectors:
    """Rows of length one around a thousand centres, as texts lie around their subjects."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(_CENTRES, DIMENSION))
    rows = centres[generator.integers(0, _CENTRES, count)]
    rows = rows + 0.7 * generator.normal(size=(count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


async def store_site(
    database: Database, name: str, embedder: str, chunks: Sequence[MadeChunk], vectors: Vectors
) -> str:
    """The id of a new site with the chunks in documents of ten, stored and indexed."""
    site = (await make_site(database, name=name)).id
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO knowledge (site_id, embedder, version, next_chunk_number,"
                " keyword_version, keyword_format) VALUES (:site, :embedder, 1, :chunks, 1, :words)"
            ),
            {"site": site, "embedder": embedder, "chunks": len(chunks), "words": WORDS_FORMAT},
        )
        await connection.execute(
            text(
                "INSERT INTO document (id, site_id, source, title, language, sha256, characters,"
                " chunks, version) VALUES (:id, :site, :id, :title, :language, '', 1, :chunks, 1)"
            ),
            [
                {
                    "id": f"doc_{site}_{one.number // _CHUNKS_OF_DOCUMENT}",
                    "site": site,
                    "title": one.title,
                    "language": one.language,
                    "chunks": _CHUNKS_OF_DOCUMENT,
                }
                for one in chunks[::_CHUNKS_OF_DOCUMENT]
            ],
        )
        for postings in to_indexed(chunks, site):
            await write_postings(connection, Scope(site), postings)
    for at in range(0, len(chunks), _ROWS_AT_ONCE):
        part = chunks[at : at + _ROWS_AT_ONCE]
        async with database.begin() as connection:
            await connection.exec_driver_sql(_INSERT_CHUNK, [_to_row(site, one) for one in part])
            rows = [
                (_id(site, one.number), embedder, site, HalfVector(vectors[one.number]))
                for one in part
            ]
            await connection.exec_driver_sql("INSERT INTO embedding VALUES (%s, %s, %s, %s)", rows)
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE"))
    return site


_INSERT_CHUNK = (
    "INSERT INTO chunk (id, site_id, document_id, version, number, position, headings, text,"
    " language) VALUES (%s, %s, %s, 1, %s, %s, '{}', %s, %s)"
)


def _to_row(site: str, one: MadeChunk) -> tuple[str | int, ...]:
    document, position = divmod(one.number, _CHUNKS_OF_DOCUMENT)
    name = f"doc_{site}_{document}"
    return _id(site, one.number), site, name, one.number, position, one.text, one.language


def _id(site: str, number: int) -> str:
    return f"chunk_{site[-8:]}_{number:07}"


def _to_source(judged: JudgedSet) -> _Source:
    language = _language_of(judged)
    shortest, longest = _SENTENCE_CHARACTERS
    found = {
        sentence
        for document in judged.documents
        for sentence in re.split(r"(?<=[.!?])\s+", document.text)
        if shortest <= len(sentence) <= longest
    }
    titles = {document.title for document in judged.documents if document.title}
    return _Source(
        language,
        [_to_sentence(one, language) for one in sorted(titles)] or [Sentence("", ())],
        [_to_sentence(one, language) for one in sorted(found)],
    )


def _language_of(judged: JudgedSet) -> str:
    return detect_language(" ".join(one.text[:50] for one in judged.documents[:20]), "en")


def _to_sentence(sentence: str, language: str) -> Sentence:
    return Sentence(sentence, tuple(to_words(sentence, language)))


def draw_questions(sets: Sequence[JudgedSet], count: int) -> list[tuple[str, str]]:
    """About so many questions with their language, from all sets, mixed."""
    found: list[tuple[str, str]] = []
    for judged in sets:
        asked = list(judged.questions.values())
        step = max(1, len(asked) // (count // len(sets)))
        found += [(one, _language_of(judged)) for one in asked[::step]]
    random.Random(1).shuffle(found)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def tell(what: str) -> None:
    """Says on standard error how far a bench is."""
    print(what, file=sys.stderr)
