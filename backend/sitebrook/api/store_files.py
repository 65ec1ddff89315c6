"""``/v1/vector_stores/{id}/files`` and ``/file_batches``: files put into a store and taken out."""

from __future__ import annotations

from typing import Final, Literal

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from sitebrook.access.gate import Caller
from sitebrook.api.bodies import check_json
from sitebrook.api.schemas.stores import (
    AttributesRequest,
    BatchRequest,
    BatchResponse,
    DeletedEntryResponse,
    EntryContentResponse,
    EntryListResponse,
    EntryRequest,
    EntryResponse,
    EntryState,
    TextResponse,
)
from sitebrook.api.store_wire import (
    to_batch_response,
    to_entry_list,
    to_entry_response,
    to_new_entry,
    to_sizes,
)
from sitebrook.api.stores import DEFAULT_LIMIT, Limit
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts
from sitebrook.stores.contents import Listed
from sitebrook.stores.entries import NewEntry
from sitebrook.stores.paging import Window

_FILES: Final = "/v1/vector_stores/{store_id:str}/files"
_BATCHES: Final = "/v1/vector_stores/{store_id:str}/file_batches"
_TAGS: Final = ["vector stores"]
# OpenAI's libraries ask again after this time; without it, after a second.
_POLL_AGAIN: Final = {"openai-poll-after-ms": "300"}


@post(_FILES, status_code=200, guards=[check_json], summary="Put a file into a store", tags=_TAGS)
async def add_store_file(
    store_id: FromPath[str],
    data: JSONBody[EntryRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> EntryResponse:
    """The file as it stands in the store; poll until it is no longer `in_progress`.

    A file that is there already is read again, with these attributes and this strategy.
    """
    entry = await parts.contents.add(server.site.id, store_id, to_new_entry(data))
    return to_entry_response(entry, parts.settings.retrieval)


@get(_FILES, summary="List a store's files", tags=_TAGS)
async def list_store_files(  # noqa: PLR0913 - each is a parameter of the address
    store_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    limit: Limit = DEFAULT_LIMIT,
    order: FromQuery[Literal["asc", "desc"]] = "desc",
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    filter: FromQuery[EntryState | None] = None,  # noqa: A002 - the name on the wire
) -> EntryListResponse:
    """The store's files, the newest first unless `order` is `asc`."""
    window, listed = Window(limit, order, after, before), Listed(status=filter)
    page = await parts.contents.list(server.site.id, store_id, window, listed)
    return to_entry_list(page, parts.settings.retrieval)


@get(f"{_FILES}/{{file_id:str}}", summary="Read how a store's file stands", tags=_TAGS)
async def read_store_file(
    store_id: FromPath[str],
    file_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> Response[EntryResponse]:
    """One file of the store; `last_error` says why it failed."""
    entry = await parts.contents.find(server.site.id, store_id, file_id)
    found = to_entry_response(entry, parts.settings.retrieval)
    return Response(found, headers=_POLL_AGAIN if found.status == "in_progress" else None)


@post(
    f"{_FILES}/{{file_id:str}}",
    status_code=200,
    guards=[check_json],
    summary="Change a file's attributes",
    tags=_TAGS,
)
async def change_store_file(
    store_id: FromPath[str],
    file_id: FromPath[str],
    data: JSONBody[AttributesRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> EntryResponse:
    """The file with other attributes; searches filter by them from now on."""
    attributes = data.attributes or {}
    entry = await parts.contents.describe(server.site.id, store_id, file_id, attributes)
    return to_entry_response(entry, parts.settings.retrieval)


@delete(
    f"{_FILES}/{{file_id:str}}", status_code=200, summary="Take a file out of a store", tags=_TAGS
)
async def remove_store_file(
    store_id: FromPath[str],
    file_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> DeletedEntryResponse:
    """Removes its chunks and vectors from the store; the file is still kept."""
    await parts.contents.remove(server.site.id, store_id, file_id)
    return DeletedEntryResponse(id=file_id)


@get(f"{_FILES}/{{file_id:str}}/content", summary="Read a file's text", tags=_TAGS)
async def read_store_file_content(
    store_id: FromPath[str],
    file_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> EntryContentResponse:
    """The text that was read from the file."""
    entry, text = await parts.contents.read(server.site.id, store_id, file_id)
    return EntryContentResponse(
        file_id=entry.file_id,
        filename=entry.name,
        attributes=dict(entry.attributes),
        data=[TextResponse(text=text)],
    )


@post(_BATCHES, status_code=200, guards=[check_json], summary="Put files into a store", tags=_TAGS)
async def add_batch(
    store_id: FromPath[str],
    data: JSONBody[BatchRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> BatchResponse:
    """A batch of files; poll until it is no longer `in_progress`."""
    batch = await parts.contents.add_batch(server.site.id, store_id, _to_entries(data))
    return to_batch_response(batch)


@get(f"{_BATCHES}/{{batch_id:str}}", summary="Read how a batch stands", tags=_TAGS)
async def read_batch(
    store_id: FromPath[str],
    batch_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> Response[BatchResponse]:
    """How many files of the batch have each status."""
    found = to_batch_response(await parts.contents.find_batch(server.site.id, store_id, batch_id))
    return Response(found, headers=_POLL_AGAIN if found.status == "in_progress" else None)


@post(f"{_BATCHES}/{{batch_id:str}}/cancel", status_code=200, summary="Cancel a batch", tags=_TAGS)
async def cancel_batch(
    store_id: FromPath[str],
    batch_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> BatchResponse:
    """The batch, of which nothing more is read; what was read stays in the store."""
    batch = await parts.contents.cancel_batch(server.site.id, store_id, batch_id)
    return to_batch_response(batch)


@get(f"{_BATCHES}/{{batch_id:str}}/files", summary="List a batch's files", tags=_TAGS)
async def list_batch_files(  # noqa: PLR0913 - each is a parameter of the address
    store_id: FromPath[str],
    batch_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    limit: Limit = DEFAULT_LIMIT,
    order: FromQuery[Literal["asc", "desc"]] = "desc",
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    filter: FromQuery[EntryState | None] = None,  # noqa: A002 - the name on the wire
) -> EntryListResponse:
    """The batch's files, the newest first unless `order` is `asc`."""
    window, listed = Window(limit, order, after, before), Listed(batch_id, filter)
    page = await parts.contents.list(server.site.id, store_id, window, listed)
    return to_entry_list(page, parts.settings.retrieval)


def _to_entries(request: BatchRequest) -> list[NewEntry]:
    if (request.file_ids is None) == (request.files is None):
        raise InvalidRequest("Send either file_ids or files.", param="file_ids")
    if request.files is not None:
        if request.attributes or request.chunking_strategy:
            raise InvalidRequest(
                "With files, attributes and chunking_strategy are said of each of them.",
                param="attributes" if request.attributes else "chunking_strategy",
            )
        return [to_new_entry(one, f"files[{at}].") for at, one in enumerate(request.files)]
    sizes = to_sizes(request.chunking_strategy)
    return [NewEntry(one, request.attributes or {}, sizes) for one in request.file_ids or ()]
