"""``/api/documents``: what a site knows, for its server."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from litestar import Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Body, FromPath, FromQuery, JSONBody, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.access.sites import Site
from sitebrook.api.bodies import check_json, check_upload
from sitebrook.api.schemas.documents import (
    DeletedResponse,
    DocumentListResponse,
    DocumentRequest,
    DocumentResponse,
    RefusedDocumentResponse,
    StoredDocumentResponse,
    TakenInLaterResponse,
    UploadResponse,
)
from sitebrook.errors import InvalidRequest, NotFound, Unavailable
from sitebrook.ingestion.ingest import IngestedDocument, Outcome, Refusal
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.staging import outcomes
from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.parts import Parts
from sitebrook.retrieval.documents import (
    Document,
    delete_documents,
    find_document,
    list_documents,
)

_MAX_FILES: Final = 100
_WAIT_S: Final = 20.0


_Wait = Annotated[
    float,
    QueryParameter(
        ge=0,
        le=60,
        description="Seconds to wait for the documents to be taken in; 202 when it takes longer.",
    ),
]
_LATER: Final = {
    202: ResponseSpec(
        TakenInLaterResponse,
        description="Not taken in yet; the job goes on",
        generate_examples=False,
    )
}


@post(
    "/api/documents",
    guards=[check_json],
    summary="Add or replace a document",
    tags=["documents"],
    responses=_LATER,
)
async def add_document(
    data: JSONBody[DocumentRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    wait_s: _Wait = _WAIT_S,
) -> Response[StoredDocumentResponse | TakenInLaterResponse]:
    """Reads, cuts, embeds and stores one document; answers when questions can find it.

    The document is kept before anything is done with it, and taken in also when nobody waits.
    """
    source = data.source or data.title
    if not source:
        raise InvalidRequest("A document needs a source or a title.", param="source")
    raw = RawDocument(source, data.content, data.type, data.title, _check_url(data.url))
    taken_in = await _take_in(parts, server.site, [raw], wait_s)
    if isinstance(taken_in, Job):
        return _to_later(taken_in)
    [outcome] = taken_in
    if isinstance(outcome, Refusal):
        raise outcome.to_error()
    return Response(_to_stored(outcome))


@post(
    "/api/documents/files",
    guards=[check_upload],
    summary="Upload files",
    tags=["documents"],
    responses=_LATER,
)
async def upload_documents(
    data: Annotated[list[UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    wait_s: _Wait = _WAIT_S,
) -> Response[UploadResponse | TakenInLaterResponse]:
    """Adds each file under its name; a file that cannot be read stops no other.

    When none can be read, the request is refused with the first reason; two of one name are too.
    """
    if not 0 < len(data) <= _MAX_FILES:
        raise InvalidRequest(f"Send 1 to {_MAX_FILES} files.", param="files")
    names = [file.filename for file in data]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise InvalidRequest(
            f"Two files are named '{twice[:100]}', and the second would replace the first; "
            "send each under a name of its own.",
            param="files",
        )
    raws = [RawDocument(file.filename, await file.read(), file.content_type) for file in data]
    taken_in = await _take_in(parts, server.site, raws, wait_s)
    if isinstance(taken_in, Job):
        return _to_later(taken_in)
    stored = [_to_stored(one) for one in taken_in if not isinstance(one, Refusal)]
    refused = [
        RefusedDocumentResponse(source=one.source, reason=one.reason)
        for one in taken_in
        if isinstance(one, Refusal)
    ]
    if not stored:
        raise InvalidRequest(
            f"No file was stored. {refused[0].source}: {refused[0].reason}",
            param="files",
            code="document_refused",
        )
    return Response(UploadResponse(documents=stored, refused=refused))


async def _take_in(
    parts: Parts, site: Site, documents: list[RawDocument], wait_s: float
) -> list[Outcome] | Job:
    """What became of the documents, or the job when that is not known within ``wait_s``."""
    sent = await parts.intake.send(site, documents)
    job = await wait_for_end(parts.database, parts.events, site.id, sent.job_id, timeout_s=wait_s)
    if job.status is Status.SUCCEEDED:
        return await outcomes(parts.database, sent.batch_id)
    if job.status in ENDED:
        raise Unavailable(
            job.error_message or "The job that takes the documents in was cancelled.",
            code=job.error_code or "job_cancelled",
        )
    return job


def _to_later(job: Job) -> Response[Any]:
    return Response(
        TakenInLaterResponse(job_id=job.id, status=job.status.value),
        status_code=202,
        headers={"Location": f"/api/jobs/{job.id}"},
    )


@get("/api/documents", summary="List documents", tags=["documents"])
async def list_site_documents(
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    after: FromQuery[str | None] = None,
) -> DocumentListResponse:
    """The site's documents, newest first."""
    page = await list_documents(parts.database, server.site.id, limit=limit, after=after)
    found = [_to_response(document) for document in page.documents]
    return DocumentListResponse(
        data=found, has_more=page.has_more, last_id=found[-1].id if found else None
    )


@get("/api/documents/{document_id:str}", summary="Read a document's facts", tags=["documents"])
async def read_document(
    document_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> DocumentResponse:
    """One document without its text."""
    document = await find_document(parts.database, server.site.id, document_id)
    if document is None:
        raise _no_document()
    return _to_response(document)


@delete(
    "/api/documents/{document_id:str}",
    status_code=200,
    summary="Delete a document",
    tags=["documents"],
)
async def delete_document(
    document_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> DeletedResponse:
    """Removes it with its chunks and embeddings; no later search finds it."""
    if not await delete_documents(parts.database, server.site.id, [document_id]):
        raise _no_document()
    return DeletedResponse(id=document_id)


def _no_document() -> NotFound:
    return NotFound("There is no such document.", param="document_id", code="document_not_found")


def _check_url(url: str | None) -> str | None:
    if url is None:
        return None
    if not _is_web_address(url):
        raise InvalidRequest(
            "The url must begin with http:// or https:// and hold no spaces.", param="url"
        )
    return url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    # U+FFFD stands where the body held what no text may hold.
    is_plain = url.isprintable() and not {" ", "\ufffd"} & set(url)
    return is_plain and parts.scheme in {"http", "https"} and bool(parts.netloc)


def _to_stored(ingested: IngestedDocument) -> StoredDocumentResponse:
    return StoredDocumentResponse(
        id=ingested.document_id,
        source=ingested.source,
        status=ingested.status,
        chunks=ingested.chunks,
    )


def _to_response(document: Document) -> DocumentResponse:
    return DocumentResponse(
        id=document.id,
        source=document.source,
        title=document.title,
        url=document.url,
        language=document.language,
        characters=document.characters,
        chunks=document.chunks,
        version=document.version,
        created_at=document.created_at,
        updated_at=document.updated_at,
    )
