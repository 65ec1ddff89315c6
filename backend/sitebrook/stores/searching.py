"""The search of a store: chunks of its files, by what the files' attributes say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ARRAY, Text, any_, literal, select

from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.retrieval.passages import Passage
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.within import Place
from sitebrook.stores.files import Clock, is_kept
from sitebrook.stores.filters import Filter, Scalar, to_condition
from sitebrook.stores.stores import Stores
from sitebrook.stores.tables import file, store_file

# Chunks of files that were taken out a moment ago are passed over.
_SPARE: Final = 20


class _Params(NamedTuple):
    """What a store and a filter are called in a request."""

    store: str
    filters: str


_OWN: Final = _Params("vector_store_id", "filters")
_IN_CHAT: Final = _Params("retrieval.store_ids", "retrieval.filters")


@dataclass(frozen=True, slots=True)
class StoreQuestion:
    """What is searched for; of several texts each chunk counts by the one it fits best."""

    texts: Sequence[str]
    limit: int = 10
    min_score: float = 0.0
    wanted: Filter | None = None
    reranks: bool = True


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk of a file with its score; see ``Searcher.find_chunks``."""

    file_id: str
    name: str
    attributes: Mapping[str, Scalar]
    text: str
    score: float


class StoreSearch:
    """Searches the stores of sites."""

    def __init__(
        self, database: Database, stores: Stores, searcher: Searcher, clock: Clock = now
    ) -> None:
        self._database = database
        self._stores = stores
        self._searcher = searcher
        self._clock = clock

    async def find(self, site_id: str, store_id: str, asked: StoreQuestion) -> list[FoundChunk]:
        """The best chunks of the store's files that pass the filter, best first.

        Raises NotFound, InvalidRequest for an expired store or a filter that cannot be meant.
        """
        place = await self._find_place(site_id, store_id, asked.wanted, _OWN)
        best: dict[str, Passage] = {}
        for text in asked.texts:
            found = await self._searcher.find_chunks(
                store_id,
                text,
                limit=asked.limit + _SPARE,
                document_ids=place.document_ids,
                reranks=asked.reranks,
            )
            for one in found:
                known = best.get(one.chunk_id)
                if known is None or known.score < one.score:
                    best[one.chunk_id] = one
        files = await self._load_files(store_id, [one.document_id for one in best.values()])
        ordered = sorted(best.values(), key=lambda one: (-one.score, one.chunk_id))
        chunks = [
            _to_chunk(one, files[one.document_id])
            for one in ordered
            if one.document_id in files and one.score >= asked.min_score
        ]
        return chunks[: asked.limit]

    async def find_places(
        self, site_id: str, store_ids: Sequence[str], wanted: Filter | None
    ) -> tuple[Place, ...]:
        """Where a question is searched that names stores. Raises as ``find``."""
        asked = dict.fromkeys(store_ids)
        return tuple([await self._find_place(site_id, one, wanted, _IN_CHAT) for one in asked])

    async def _find_place(
        self, site_id: str, store_id: str, wanted: Filter | None, params: _Params
    ) -> Place:
        """The store's documents, those whose file passes the filter and has not expired."""

        async def select_held(document_ids: Sequence[str]) -> Collection[str]:
            return await self._load_files(store_id, document_ids)

        await self._stores.open(site_id, store_id, params.store)
        in_store = (store_file.c.store_id == store_id, store_file.c.document_id.is_not(None))
        is_alive = is_kept(self._clock())
        conditions = [is_alive]
        if wanted is not None:
            conditions.append(to_condition(wanted, params.filters))
        of_file = select(store_file.c.document_id).join(file, file.c.id == store_file.c.file_id)
        async with self._database.begin() as connection:
            if wanted is None:
                expired = of_file.where(*in_store, ~is_alive).limit(1)
                if (await connection.execute(expired)).first() is None:
                    return Place(store_id, select_held=select_held)
            found = await connection.execute(of_file.where(*in_store, *conditions))
            return Place(store_id, tuple(found.scalars()), select_held)

    async def _load_files(self, store_id: str, document_ids: Sequence[str]) -> dict[str, Any]:
        of_document = store_file.c.document_id
        query = (
            select(of_document, store_file.c.file_id, store_file.c.attributes, file.c.name)
            .join(file, file.c.id == store_file.c.file_id)
            .where(
                store_file.c.store_id == store_id,
                is_kept(self._clock()),
                of_document == any_(literal(list(document_ids), ARRAY(Text))),
            )
        )
        async with self._database.begin() as connection:
            return {row.document_id: row for row in await connection.execute(query)}


def _to_chunk(passage: Passage, of: Any) -> FoundChunk:
    return FoundChunk(of.file_id, of.name, of.attributes, passage.text, passage.score)
