"""The wire of vector stores, as OpenAI's API has it; times are seconds since 1970."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

MAX_PAIRS = 16
MAX_BATCH = 2000
MAX_QUERIES = 10
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Value = Annotated[str, msgspec.Meta(max_length=512)]
Metadata = Annotated[dict[Key, Value], msgspec.Meta(max_length=MAX_PAIRS)]
# JSON has whole numbers of any length, which few clients could read back.
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Attributes = Annotated[dict[Key, Value | Whole | float | bool], msgspec.Meta(max_length=MAX_PAIRS)]
Name = Annotated[str, msgspec.Meta(max_length=256)]
Description = Annotated[str, msgspec.Meta(max_length=2000)]
FileId = Annotated[str, msgspec.Meta(min_length=1)]
Query = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
EntryState = Literal["in_progress", "completed", "failed", "cancelled"]


class ExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    """So many days after a store was last used it expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, msgspec.Meta(ge=1, le=365)]


class ChunkSizesInTokens(msgspec.Struct, frozen=True, kw_only=True):
    """How files are cut, in tokens of about four characters."""

    max_chunk_size_tokens: Annotated[int, msgspec.Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, msgspec.Meta(ge=0)]


class ChunkingStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """``auto`` cuts as the server's settings say, ``static`` as ``static`` says."""

    type: Literal["auto", "static"]
    static: ChunkSizesInTokens | None = None


class StoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A store to make; the files of ``file_ids`` are put into it."""

    name: Name | None = None
    description: Description | None = None
    file_ids: Annotated[list[FileId], msgspec.Meta(max_length=MAX_BATCH)] | None = None
    chunking_strategy: ChunkingStrategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class StoreChangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed; null takes the value away."""

    name: Name | msgspec.UnsetType | None = msgspec.UNSET
    expires_after: ExpiresAfter | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET


class FileCountsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How many files have each status."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class StoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A store; it is ``completed`` when none of its files is being read."""

    id: str
    created_at: int
    name: str
    description: str
    usage_bytes: int
    file_counts: FileCountsResponse
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfter | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]
    object: Literal["vector_store"] = "vector_store"


class StoreListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the site's stores; ask on with ``last_id`` as ``after``."""

    data: list[StoreResponse]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedStoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    id: str
    deleted: Literal[True] = True
    object: Literal["vector_store.deleted"] = "vector_store.deleted"


class EntryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A file to put into a store."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class AttributesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a file gets in place of its attributes."""

    attributes: Attributes | None


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file could not be read."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class StaticStrategyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How a file was cut."""

    static: ChunkSizesInTokens
    type: Literal["static"] = "static"


class EntryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a store; ``usage_bytes`` is what its chunks take."""

    id: str
    created_at: int
    vector_store_id: str
    status: EntryState
    last_error: LastError | None
    usage_bytes: int
    attributes: dict[str, Any]
    chunking_strategy: StaticStrategyResponse
    object: Literal["vector_store.file"] = "vector_store.file"


class EntryListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a store's files; ask on with ``last_id`` as ``after``."""

    data: list[EntryResponse]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedEntryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was taken out; it is still kept."""

    id: str
    deleted: Literal[True] = True
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"


class TextResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of text."""

    text: str
    type: Literal["text"] = "text"


class EntryContentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The text that was read from a file."""

    file_id: str
    filename: str
    attributes: dict[str, Any]
    data: list[TextResponse]
    has_more: Literal[False] = False
    next_page: None = None
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Files to put into a store: ``file_ids`` with what is said for all, or ``files`` each."""

    file_ids: Annotated[list[FileId], msgspec.Meta(min_length=1, max_length=MAX_BATCH)] | None = (
        None
    )
    files: (
        Annotated[list[EntryRequest], msgspec.Meta(min_length=1, max_length=MAX_BATCH)] | None
    ) = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class BatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were put into a store together."""

    id: str
    created_at: int
    vector_store_id: str
    status: EntryState
    file_counts: FileCountsResponse
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"


class FilterRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of an attribute with ``value``, or ``filters`` joined by ``and`` or ``or``."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or"]
    key: Key | None = None
    value: str | Whole | float | bool | list[str | Whole | float | bool] | None = None
    filters: list[FilterRequest] = []


class RankingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``auto`` uses the server's reranker, if it has one; ``none`` does not."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class StoreSearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for. With ``rewrite_query`` too it is searched for as it is asked."""

    query: Query | Annotated[list[Query], msgspec.Meta(min_length=1, max_length=MAX_QUERIES)]
    filters: FilterRequest | None = None
    max_num_results: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False


class FoundChunkResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk of a file; the higher the score (0 to 1), the better it fits."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Any]
    content: list[TextResponse]


class StoreSearchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks for a search, best first; ``search_query`` is what was searched for."""

    search_query: list[str]
    data: list[FoundChunkResponse]
    has_more: Literal[False] = False
    next_page: None = None
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
