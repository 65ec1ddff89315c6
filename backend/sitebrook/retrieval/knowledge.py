"""The documents of a site in the database: stored whole, replaced whole, found again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sqlalchemy import Row, case, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.db.pipeline import Statement
from sitebrook.db.snapshot import PendingRows, Snapshot
from sitebrook.db.tables import now
from sitebrook.errors import EmbedderSwitched, InvalidRequest, Unavailable
from sitebrook.ids import new_id
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.indexing import UnindexedChunk
from sitebrook.retrieval.locking import lock_knowledge
from sitebrook.retrieval.postings import MAX_CHUNKS, Postings
from sitebrook.retrieval.stored_postings import Scope, join_due, write_postings
from sitebrook.retrieval.tables import chunk, document, document_version, knowledge
from sitebrook.retrieval.vector_rows import write_vectors
from sitebrook.retrieval.words import WORDS_FORMAT

# All vectors of a site's embedder have one dimension; any of them tells it.
_KNOWLEDGE_OF_SITE: Final = """
SELECT embedder, version,
    (SELECT vector_dims(vector) FROM embedding
     WHERE embedding.site_id = knowledge.site_id AND embedding.embedder = knowledge.embedder
     LIMIT 1),
    next_embedder, keyword_version = version AND keyword_format >= {words}, vector_weight
FROM knowledge WHERE site_id = {site_id}
"""
_BY_NAME: Final = text(_KNOWLEDGE_OF_SITE.format(words=":words", site_id=":site_id")).bindparams(
    words=WORDS_FORMAT
)
_BY_PLACE: Final = _KNOWLEDGE_OF_SITE.format(words="$1", site_id="$2")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a site knows, as of one version: each change of its documents counts it up.

    ``dimension`` is that of its vectors, None when it has none; ``next_embedder`` is the one that
    a switch is under way to. ``is_indexed`` tells whether the postings are of this version.
    ``vector_weight`` is the site's own weight of the vectors, None where the rule decides.
    """

    site_id: str
    embedder: str
    version: int
    dimension: int | None
    next_embedder: str | None = None
    is_indexed: bool = True
    vector_weight: float | None = None


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A piece of a document to be stored."""

    headings: tuple[str, ...]
    text: str
    language: str


Guard = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to be stored; ``source`` makes it the same document when it comes again.

    ``guard`` is asked in the transaction that would write the document, behind the lock on the
    site's knowledge, and raises to undo it. It is not asked for a document that is unchanged.
    """

    source: str
    title: str
    url: str | None
    language: str
    text: str
    sha256: bytes
    chunks: tuple[NewChunk, ...]
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class ReplacedDocument:
    """What storing did: a document of this source was there before, or not, or was the same."""

    status: Literal["added", "replaced", "unchanged"]
    document_id: str
    chunks: int


async def load_knowledge(connection: AsyncConnection, site_id: str) -> Knowledge | None:
    """The site's embedder, version and dimension; None before its first document."""
    row = (await connection.execute(_BY_NAME, {"site_id": site_id})).first()
    return None if row is None else Knowledge(site_id, *row)


def ask_knowledge(snapshot: Snapshot, site_id: str) -> PendingRows:
    """The answer that ``to_knowledge`` reads."""
    return snapshot.send(Statement(_BY_PLACE, (b"%d" % WORDS_FORMAT, site_id.encode())))


async def to_knowledge(answer: PendingRows, site_id: str) -> Knowledge | None:
    """As ``load_knowledge``, for a search."""
    (rows,) = await answer.rows()
    return Knowledge(site_id, *rows[0]) if rows else None


async def replace_document(
    database: Database,
    indexer: Indexer,
    site_id: str,
    new: NewDocument,
    vectors: Mapping[str, Vectors],
) -> ReplacedDocument:
    """Stores a document in place of the one of the same source, in one transaction.

    ``vectors`` has a row per chunk for each embedder, the site's own first. The same content again
    changes nothing. The site's first document fixes its embedder; EmbedderSwitched is raised when
    another one was fixed meanwhile, Unavailable when the vectors have not the dimension of those
    that stay or when no child can index the document.
    """
    chunk_ids = [new_id("chunk") for _ in new.chunks]
    indexed = await _to_postings(indexer, new, chunk_ids)
    async with database.begin() as connection:
        site = await _lock(connection, site_id, vectors)
        old = await _find_old(connection, site_id, new.source)
        if old is not None and old.sha256 == new.sha256:
            return ReplacedDocument("unchanged", old.id, old.chunks)
        if new.guard is not None:
            await new.guard(connection)
        target = _Target(
            site_id=site_id,
            document_id=new_id("doc") if old is None else old.id,
            version=1 if old is None else old.version + 1,
            first_number=site.next_chunk_number,
        )
        removed = await _write_document(connection, target, new)
        _check_dimension(await load_knowledge(connection, site_id), vectors[site.embedder])
        await _write_chunks(connection, target, new.chunks, chunk_ids)
        for one in indexed:
            moved = one.moved(target.first_number, removed)
            await write_postings(connection, Scope(site_id), moved)
        for embedder in {site.embedder, site.next_embedder} & vectors.keys():
            await write_vectors(connection, embedder, chunk_ids, vectors[embedder])
        await count_up(connection, site_id, len(new.chunks))
    await join_due(database, indexer, Scope(site_id))
    status = "added" if old is None else "replaced"
    return ReplacedDocument(status, target.document_id, len(new.chunks))


@dataclass(frozen=True, slots=True)
class _Target:
    site_id: str
    document_id: str
    version: int
    first_number: int


async def _lock(
    connection: AsyncConnection, site_id: str, vectors: Mapping[str, Vectors]
) -> Row[Any]:
    """The site's row; other writers of the site wait until the transaction ends."""
    first = next(iter(vectors))
    found = await lock_knowledge(connection, site_id)
    if found is None:
        values = {"site_id": site_id, "embedder": first, "keyword_format": WORDS_FORMAT}
        await connection.execute(insert_or(knowledge).values(values).on_conflict_do_nothing())
        found = cast("Row[Any]", await lock_knowledge(connection, site_id))
    if found.embedder not in vectors:
        raise EmbedderSwitched(
            f"The site's documents are embedded by {found.embedder}, not by {first}; "
            "ingest again with the settings of that embedder."
        )
    return found


def _check_dimension(known: Knowledge | None, vectors: Vectors) -> None:
    dimension = None if known is None else known.dimension
    if dimension is not None and len(vectors) and vectors.shape[1] != dimension:
        raise dimension_changed(vectors.shape[1], dimension)


def dimension_changed(made: int, stored: int) -> Unavailable:
    """The refusal of vectors that cannot be compared with those that are stored."""
    return Unavailable(
        f"The embedding endpoint gives vectors of {made} numbers, the site's other documents have "
        f"{stored}: set SITEBROOK_EMBEDDING_MODEL and its address as they were, or delete the "
        "site's documents and ingest them again.",
        code="embedding_dimension_changed",
    )


async def _find_old(connection: AsyncConnection, site_id: str, source: str) -> Any:
    columns = (document.c.id, document.c.sha256, document.c.chunks, document.c.version)
    query = select(*columns).where(document.c.site_id == site_id, document.c.source == source)
    return (await connection.execute(query)).first()


async def _write_document(
    connection: AsyncConnection, target: _Target, new: NewDocument
) -> list[int]:
    """The numbers of the chunks that the document had; they are gone."""
    values: dict[str, Any] = {
        "title": new.title,
        "url": new.url,
        "language": new.language,
        "sha256": new.sha256,
        "characters": len(new.text),
        "chunks": len(new.chunks),
        "version": target.version,
        "updated_at": now(),
    }
    removed: list[int] = []
    if target.version == 1:
        keys = {"id": target.document_id, "site_id": target.site_id, "source": new.source}
        await connection.execute(insert(document).values(**keys, **values))
    else:
        same = document.c.id == target.document_id
        await connection.execute(update(document).where(same).values(**values))
        mine = document_version.c.document_id == target.document_id
        await connection.execute(delete(document_version).where(mine))
        old = delete(chunk).where(chunk.c.document_id == target.document_id)
        found = await connection.execute(old.returning(chunk.c.number))
        removed = list(found.scalars())
    await connection.execute(
        insert(document_version).values(
            document_id=target.document_id, version=target.version, text=new.text
        )
    )
    return removed


async def _write_chunks(
    connection: AsyncConnection,
    target: _Target,
    chunks: Sequence[NewChunk],
    chunk_ids: Sequence[str],
) -> None:
    rows = [
        {
            "id": chunk_id,
            "site_id": target.site_id,
            "document_id": target.document_id,
            "version": target.version,
            "number": target.first_number + position,
            "position": position,
            "headings": list(piece.headings),
            "text": piece.text,
            "language": piece.language,
        }
        for position, (piece, chunk_id) in enumerate(zip(chunks, chunk_ids, strict=True))
    ]
    if rows:
        await connection.execute(insert(chunk), rows)


async def count_up(connection: AsyncConnection, site_id: str, chunks: int = 0) -> None:
    """Makes what is cached about the site's documents stale when the transaction commits.

    Postings that were up to date are taken to be so still: who changes chunks writes them too.
    """
    counted = update(knowledge).where(knowledge.c.site_id == site_id)
    is_indexed = knowledge.c.keyword_version == knowledge.c.version
    await connection.execute(
        counted.values(
            version=knowledge.c.version + 1,
            keyword_version=knowledge.c.keyword_version + case((is_indexed, 1), else_=0),
            next_chunk_number=knowledge.c.next_chunk_number + chunks,
        )
    )


async def set_vector_weight(database: Database, site_id: str, weight: float | None) -> None:
    """Gives the site's vectors a weight of their own (0 to 1), or None: the rule's.

    The next search of any process uses it; a switch of the embedder forgets it. Raises
    InvalidRequest for a site without documents, whose embedder is not decided.
    """
    if weight is not None and not 0 <= weight <= 1:
        raise InvalidRequest("The weight of the vectors is 0 to 1.")
    of_site = update(knowledge).where(knowledge.c.site_id == site_id)
    async with database.begin() as connection:
        if not (await connection.execute(of_site.values(vector_weight=weight))).rowcount:
            raise InvalidRequest("The site has no documents yet; `sitebrook ingest` adds some.")


def to_indexed_text(title: str, headings: Sequence[str], body: str) -> str:
    """What is indexed and embedded for a chunk: its title, its headings, its text."""
    lines = [title, *(heading for heading in headings if heading != title), body]
    return "\n".join(line for line in lines if line)


async def _to_postings(
    indexer: Indexer, new: NewDocument, chunk_ids: Sequence[str]
) -> list[Postings]:
    """The chunks' words, numbered from 0: one Postings, or more for more than one holds."""
    chunks = [
        UnindexedChunk(
            number,
            chunk_id,
            piece.language,
            to_indexed_text(new.title, piece.headings, piece.text),
        )
        for number, (piece, chunk_id) in enumerate(zip(new.chunks, chunk_ids, strict=True))
    ]
    starts = range(0, max(1, len(chunks)), MAX_CHUNKS)
    return [await indexer.index(chunks[start : start + MAX_CHUNKS]) for start in starts]
