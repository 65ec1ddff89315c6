"""The wire of files, as OpenAI's API has it."""

from __future__ import annotations

from typing import Literal

import msgspec


class FileResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept; times are seconds since 1970."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: int | None = None
    status: Literal["processed"] = "processed"
    status_details: None = None
    object: Literal["file"] = "file"


class FileListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the site's files; ask on with ``last_id`` as ``after``."""

    data: list[FileResponse]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedFileResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    id: str
    deleted: Literal[True] = True
    object: Literal["file"] = "file"
