"""``/v1/files``: files that a site's server keeps here, for vector stores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from litestar import Request, Response, delete, get, post
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.api.bodies import read_form
from sitebrook.api.schemas.files import DeletedFileResponse, FileListResponse, FileResponse
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts
from sitebrook.stores.files import PURPOSES, File, NewFile
from sitebrook.stores.paging import Window

_MAX_LISTED: Final = 10_000
_LEAST_S: Final = 3600
_MOST_S: Final = 30 * 86_400
_WHOLE: Final = re.compile(r"[0-9]{1,9}")


@dataclass
class _Upload(Operation):
    """What an upload sends; the handler reads it by itself, once the key is known."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING)
        form = Schema(
            type=OpenAPIType.OBJECT,
            required=["file", "purpose"],
            properties={
                "file": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY),
                "purpose": Schema(type=OpenAPIType.STRING, enum=list(PURPOSES)),
                "expires_after[anchor]": text,
                "expires_after[seconds]": text,
            },
        )
        self.request_body = RequestBody({"multipart/form-data": OpenAPIMediaType(form)})


@post(
    "/v1/files",
    status_code=200,
    summary="Upload a file",
    tags=["files"],
    operation_class=_Upload,
)
async def upload_file(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> FileResponse:
    """Keeps the file as it is; a vector store reads it."""
    form = await read_form(request)
    upload, *others = form.getall("file", [None])
    if others:
        raise InvalidRequest("One request keeps one file; send each by itself.", param="file")
    if not isinstance(upload, UploadFile):
        raise InvalidRequest("The form needs a field 'file' with a file.", param="file")
    new = NewFile(
        name=upload.filename,
        content=await upload.read(),
        purpose=_text(form, "purpose") or "",
        media_type=upload.content_type,
        expires_after_s=_lifetime_s(form),
    )
    return _to_response(await parts.files.add(server.site.id, new))


@get("/v1/files", summary="List files", tags=["files"])
async def list_files(  # noqa: PLR0913 - each is a parameter of the address
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    purpose: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MAX_LISTED)] = _MAX_LISTED,
    order: FromQuery[Literal["asc", "desc"]] = "desc",
    after: FromQuery[str | None] = None,
) -> FileListResponse:
    """The site's files, the newest first unless ``order`` is ``asc``."""
    page = await parts.files.list(server.site.id, Window(limit, order, after), purpose)
    found = [_to_response(one) for one in page.entries]
    return FileListResponse(
        data=found,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
        has_more=page.has_more,
    )


@get("/v1/files/{file_id:str}", summary="Read a file's facts", tags=["files"])
async def read_file(
    file_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> FileResponse:
    """One file without its content."""
    return _to_response(await parts.files.find(server.site.id, file_id))


@get(
    "/v1/files/{file_id:str}/content",
    summary="Download a file",
    tags=["files"],
    media_type="application/octet-stream",
    responses={200: ResponseSpec(bytes, media_type="application/octet-stream")},
)
async def read_file_content(
    file_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> Response[bytes]:
    """The file as it came."""
    found = await parts.files.read(server.site.id, file_id)
    # Never shown in a browser as what its sender says it is.
    return Response(
        found.content,
        media_type="application/octet-stream",
        headers={
            "content-disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
            "x-content-type-options": "nosniff",
        },
    )


@delete("/v1/files/{file_id:str}", status_code=200, summary="Delete a file", tags=["files"])
async def delete_file(
    file_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> DeletedFileResponse:
    """Removes the file."""
    await parts.files.delete(server.site.id, file_id)
    return DeletedFileResponse(id=file_id)


def _text(form: FormMultiDict, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


def _lifetime_s(form: FormMultiDict) -> int | None:
    """The seconds after which the file expires, if the form says so."""
    names = [name for name in form if name.startswith("expires_after")]
    if not names:
        return None
    if _text(form, "expires_after[anchor]") != "created_at":
        raise InvalidRequest(
            "The anchor of a file's expiry is 'created_at'.", param="expires_after[anchor]"
        )
    seconds = _text(form, "expires_after[seconds]") or ""
    if not _WHOLE.fullmatch(seconds) or not _LEAST_S <= int(seconds) <= _MOST_S:
        raise InvalidRequest(
            f"A file expires {_LEAST_S:,} to {_MOST_S:,} seconds after it was sent.",
            param="expires_after[seconds]",
        )
    return int(seconds)


def _to_response(one: File) -> FileResponse:
    return FileResponse(
        id=one.id,
        bytes=one.size_bytes,
        created_at=int(one.created_at.timestamp()),
        filename=one.name,
        purpose=one.purpose,
        expires_at=None if one.expires_at is None else int(one.expires_at.timestamp()),
    )
