"""The built widget, pages and styles, held in memory with their hashes."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath

from sitebrook.errors import NotFound

_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
_COMPRESSED: Final = frozenset({".js", ".css", ".html", ".svg"})
# Pages load nothing from elsewhere and run no inline script.
PAGE_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
    "img-src 'self' data:"
)
# Swagger UI writes style attributes.
DOCS_POLICY: Final = PAGE_POLICY + "; style-src 'self' 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file; ``compressed`` is None where compression gains nothing."""

    body: bytes
    compressed: bytes | None
    etag: str
    content_type: str


@cache
def load_static_files() -> dict[str, StaticFile]:
    """Every file of the static folder by its path in it."""
    root = Path(str(files("sitebrook"))) / "static"
    return {
        path.relative_to(root).as_posix(): _load(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in _TYPES
    }


def _load(path: Path) -> StaticFile:
    body = path.read_bytes()
    compressed = gzip.compress(body, mtime=0) if path.suffix in _COMPRESSED else None
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return StaticFile(body, compressed, etag, _TYPES[path.suffix])


def to_response(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
    """A static file; revalidated each time, so that an update shows at once."""
    found = load_static_files().get(name)
    if found is None:
        raise NotFound("There is no such file.")
    headers = {
        "etag": found.etag,
        "cache-control": "public, no-cache",
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
    }
    if name.endswith(".html"):
        headers["content-security-policy"] = PAGE_POLICY
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=found.content_type)
    body = found.body
    if found.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = found.compressed
        headers["content-encoding"] = "gzip"
    return Response(body, headers=headers, media_type=found.content_type)


@get("/static/{path:path}", include_in_schema=False)
async def read_static(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    """A file of the static folder."""
    # A module script is fetched with CORS; these files are public.
    response = to_response(request, path.as_posix().lstrip("/"))
    response.headers["access-control-allow-origin"] = "*"
    return response


@get("/widget.js", include_in_schema=False)
async def read_widget(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The script that a page embeds."""
    return to_response(request, "widget.js")


@get("/test-streaming.html", include_in_schema=False)
async def read_test_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The page that measures streaming."""
    return to_response(request, "test-streaming.html")
