"""``/v1/vector_stores``: stores of files that a site's server searches."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowances_of_key
from sitebrook.api.bodies import check_json
from sitebrook.api.schemas.stores import (
    DeletedStoreResponse,
    FoundChunkResponse,
    RankingOptions,
    StoreChangeRequest,
    StoreListResponse,
    StoreRequest,
    StoreResponse,
    StoreSearchRequest,
    StoreSearchResponse,
    TextResponse,
)
from sitebrook.api.store_wire import to_filter, to_sizes, to_store_response
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts
from sitebrook.stores.entries import NewEntry
from sitebrook.stores.paging import Window
from sitebrook.stores.searching import FoundChunk, StoreQuestion
from sitebrook.stores.stores import NewStore, StoreChange

Limit = Annotated[int, QueryParameter(ge=1, le=100)]
DEFAULT_LIMIT: Final = 20


@post(
    "/v1/vector_stores",
    status_code=200,
    guards=[check_json],
    summary="Make a vector store",
    tags=["vector stores"],
)
async def create_store(
    data: JSONBody[StoreRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> StoreResponse:
    """A new store; its files are read by a job, poll until it is no longer `in_progress`."""
    sizes = to_sizes(data.chunking_strategy)
    entries = [NewEntry(one, {}, sizes) for one in data.file_ids or ()]
    new = NewStore(
        name=data.name or "",
        description=data.description or "",
        metadata=data.metadata,
        expires_after_days=data.expires_after and data.expires_after.days,
        entries=entries,
    )
    return to_store_response(await parts.stores.create(server.site.id, new))


@get("/v1/vector_stores", summary="List vector stores", tags=["vector stores"])
async def list_stores(  # noqa: PLR0913 - each is a parameter of the address
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    limit: Limit = DEFAULT_LIMIT,
    order: FromQuery[Literal["asc", "desc"]] = "desc",
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
) -> StoreListResponse:
    """The site's stores, the newest first unless `order` is `asc`."""
    page = await parts.stores.list(server.site.id, Window(limit, order, after, before))
    found = [to_store_response(one) for one in page.entries]
    return StoreListResponse(
        data=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=page.has_more,
    )


@get("/v1/vector_stores/{store_id:str}", summary="Read a vector store", tags=["vector stores"])
async def read_store(
    store_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> StoreResponse:
    """One store with how its files stand."""
    return to_store_response(await parts.stores.find(server.site.id, store_id))


@post(
    "/v1/vector_stores/{store_id:str}",
    status_code=200,
    guards=[check_json],
    summary="Change a vector store",
    tags=["vector stores"],
)
async def change_store(
    store_id: FromPath[str],
    data: JSONBody[StoreChangeRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> StoreResponse:
    """The store with another name, other metadata, another expiry."""
    fields: dict[Any, Any] = {}
    if data.name is not msgspec.UNSET:
        fields["name"] = data.name or ""
    if data.metadata is not msgspec.UNSET:
        fields["metadata"] = data.metadata or {}
    if data.expires_after is not msgspec.UNSET:
        fields["expires_after_days"] = data.expires_after and data.expires_after.days
    changed = await parts.stores.change(server.site.id, store_id, StoreChange(fields))
    return to_store_response(changed)


@delete(
    "/v1/vector_stores/{store_id:str}",
    status_code=200,
    summary="Delete a vector store",
    tags=["vector stores"],
)
async def delete_store(
    store_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> DeletedStoreResponse:
    """Removes it with its chunks and vectors; the files are still kept."""
    await parts.stores.delete(server.site.id, store_id)
    return DeletedStoreResponse(id=store_id)


@post(
    "/v1/vector_stores/{store_id:str}/search",
    status_code=200,
    guards=[check_json],
    summary="Search a vector store",
    tags=["vector stores"],
)
async def search_store(
    store_id: FromPath[str],
    data: JSONBody[StoreSearchRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> StoreSearchResponse:
    """The chunks of the store's files that fit best."""
    texts = [data.query] if isinstance(data.query, str) else data.query
    if not all(text.strip() for text in texts):
        raise InvalidRequest("A search needs a query.", param="query")
    await parts.limiter.count(allowances_of_key(server, parts.settings.limits))
    ranking = data.ranking_options or RankingOptions()
    asked = StoreQuestion(
        texts=texts,
        limit=data.max_num_results,
        min_score=ranking.score_threshold,
        wanted=data.filters and to_filter(data.filters),
        reranks=ranking.ranker != "none",
    )
    found = await parts.store_search.find(server.site.id, store_id, asked)
    return StoreSearchResponse(search_query=texts, data=[_to_response(one) for one in found])


def _to_response(one: FoundChunk) -> FoundChunkResponse:
    return FoundChunkResponse(
        file_id=one.file_id,
        filename=one.name,
        score=one.score,
        attributes=dict(one.attributes),
        content=[TextResponse(text=one.text)],
    )
