"""Vector stores from the wire and to it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sitebrook.api.schemas.stores import (
    BatchResponse,
    ChunkingStrategy,
    ChunkSizesInTokens,
    EntryListResponse,
    EntryRequest,
    EntryResponse,
    ExpiresAfter,
    FileCountsResponse,
    FilterRequest,
    LastError,
    StaticStrategyResponse,
    StoreResponse,
)
from sitebrook.errors import InvalidRequest
from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.settings import RetrievalSettings
from sitebrook.stores.contents import Batch
from sitebrook.stores.entries import Counts, Entry, NewEntry, SizesInTokens
from sitebrook.stores.filters import Filter
from sitebrook.stores.paging import Page
from sitebrook.stores.stores import Store
from sitebrook.stores.waiting import to_tokens

_SERVER_ERROR: Final = "server_error"


def to_sizes(
    strategy: ChunkingStrategy | None, param: str = "chunking_strategy"
) -> SizesInTokens | None:
    """How files are to be cut; None as the settings say. Raises InvalidRequest."""
    if strategy is None or strategy.type == "auto":
        if strategy is not None and strategy.static is not None:
            raise InvalidRequest("'auto' takes no sizes.", param=f"{param}.static")
        return None
    sizes = strategy.static
    if sizes is None:
        raise InvalidRequest("'static' needs sizes.", param=f"{param}.static")
    if sizes.chunk_overlap_tokens > sizes.max_chunk_size_tokens // 2:
        raise InvalidRequest(
            "The overlap is at most half of max_chunk_size_tokens.",
            param=f"{param}.static.chunk_overlap_tokens",
        )
    return SizesInTokens(sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens)


def to_new_entry(request: EntryRequest, param: str = "") -> NewEntry:
    """A file to put into a store. Raises InvalidRequest that names a field below ``param``."""
    sizes = to_sizes(request.chunking_strategy, f"{param}chunking_strategy")
    return NewEntry(request.file_id, request.attributes or {}, sizes)


def to_filter(request: FilterRequest) -> Filter:
    """A filter as the search takes it."""
    filters = tuple(map(to_filter, request.filters))
    return Filter(request.type, request.key, request.value, filters)


def to_store_response(one: Store) -> StoreResponse:
    """A store on the wire."""
    days = one.expires_after_days
    state = "in_progress" if one.counts.in_progress else "completed"
    return StoreResponse(
        id=one.id,
        created_at=_seconds(one.created_at),
        name=one.name,
        description=one.description,
        usage_bytes=one.sums.usage_bytes,
        file_counts=_to_counts(one.counts),
        status="expired" if one.has_expired else state,
        expires_after=None if days is None else ExpiresAfter(anchor="last_active_at", days=days),
        expires_at=None if one.expires_at is None else _seconds(one.expires_at),
        last_active_at=_seconds(one.last_active_at),
        metadata=dict(one.metadata),
    )


def to_entry_response(one: Entry, settings: RetrievalSettings) -> EntryResponse:
    """A file of a store on the wire; ``settings`` say how it was cut where nothing else was."""
    own = SizesInCharacters(settings.chunk_characters, settings.overlap_characters)
    sizes = one.sizes or to_tokens(own)
    error = None
    if one.status == "failed":
        error = LastError(
            code=one.error_code or _SERVER_ERROR,  # pyright: ignore[reportArgumentType] - of three
            message=one.error_message or "It could not be read.",
        )
    return EntryResponse(
        id=one.file_id,
        created_at=_seconds(one.created_at),
        vector_store_id=one.store_id,
        status=one.status,
        last_error=error,
        usage_bytes=one.usage_bytes,
        attributes=dict(one.attributes),
        chunking_strategy=StaticStrategyResponse(
            static=ChunkSizesInTokens(
                max_chunk_size_tokens=sizes.chunk_tokens, chunk_overlap_tokens=sizes.overlap_tokens
            )
        ),
    )


def to_entry_list(page: Page[Entry], settings: RetrievalSettings) -> EntryListResponse:
    """Files of a store on the wire."""
    found = [to_entry_response(one, settings) for one in page.entries]
    return EntryListResponse(
        data=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=page.has_more,
    )


def to_batch_response(one: Batch) -> BatchResponse:
    """A batch on the wire."""
    return BatchResponse(
        id=one.id,
        created_at=_seconds(one.created_at),
        vector_store_id=one.store_id,
        status=one.status,
        file_counts=_to_counts(one.counts),
    )


def _to_counts(counts: Counts) -> FileCountsResponse:
    return FileCountsResponse(
        in_progress=counts.in_progress,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        total=counts.total,
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
