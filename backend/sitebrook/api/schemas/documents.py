"""The wire of documents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec


class DocumentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A document to add, or to put in the place of the one with the same ``source``.

    ``source`` is its lasting name (a path or an id of yours); without it the title is taken.
    ``url`` is where citations lead; without it they lead to the text kept here.
    """

    content: Annotated[str, msgspec.Meta(min_length=1)]
    title: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None
    url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    type: Literal["text/markdown", "text/html", "text/plain", "text/csv", "application/json"] = (
        "text/markdown"
    )


class StoredDocumentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What adding did: ``unchanged`` when the same content was there already."""

    id: str
    source: str
    status: Literal["added", "replaced", "unchanged"]
    chunks: int
    object: Literal["document"] = "document"


class RefusedDocumentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A file that could not be read, and why."""

    source: str
    reason: str


class UploadResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each uploaded file."""

    documents: list[StoredDocumentResponse]
    refused: list[RefusedDocumentResponse]


class TakenInLaterResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that were sent and are not taken in yet; ``/api/jobs/{job_id}`` tells of it."""

    job_id: str
    status: Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
    object: Literal["job"] = "job"


class DocumentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its text."""

    id: str
    source: str
    title: str
    url: str | None
    language: str
    characters: int
    chunks: int
    version: int
    created_at: datetime
    updated_at: datetime
    object: Literal["document"] = "document"


class DocumentListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A page of documents, newest first; ask on with ``after`` set to ``last_id``."""

    data: list[DocumentResponse]
    has_more: bool
    last_id: str | None
    object: Literal["list"] = "list"


class DeletedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The document is gone, with its chunks and embeddings."""

    id: str
    deleted: bool = True
    object: Literal["document.deleted"] = "document.deleted"
