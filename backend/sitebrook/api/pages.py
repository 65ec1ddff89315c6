"""Pages that are rendered: the demo site and an uploaded document as a source."""

from __future__ import annotations

import html
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from markdown_it import MarkdownIt

from sitebrook.api.http import RequestHead
from sitebrook.api.static import PAGE_POLICY
from sitebrook.demo.site import DEMO_NAME, find_demo
from sitebrook.errors import NotFound
from sitebrook.parts import Parts
from sitebrook.retrieval.documents import find_source_text

_TEMPLATES: Final = Environment(
    loader=PackageLoader("sitebrook.api"), autoescape=True, undefined=StrictUndefined
)
_HEADERS: Final = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
}
# HTML in a document is shown as text, and no image is loaded.
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
_MISSING: Final = "The document was removed since the answer was given, or the link is not whole."
_LINKS: Final = (
    ("/test-streaming.html", "Streaming test"),
    ("/docs", "API documentation"),
)


@get("/", include_in_schema=False)
async def open_start() -> Redirect:
    """The demo page."""
    return Redirect("/demo")


@get("/demo", include_in_schema=False)
async def show_demo(parts: NamedDependency[Parts]) -> Response[str]:
    """A small website with the widget of the demo site."""
    demo = await find_demo(parts.database)
    if demo is None:
        raise NotFound(f"There is no site named '{DEMO_NAME}'; the demo page shows that one.")
    site, publishable_key = demo
    return _render(
        "demo.html",
        site_name=site.name,
        publishable_key=publishable_key,
        language=site.language,
        links=[{"href": href, "label": label} for href, label in _LINKS],
    )


@get("/sources/{document_id:str}", include_in_schema=False)
async def show_source(
    document_id: FromPath[str],
    parts: NamedDependency[Parts],
    head: NamedDependency[RequestHead],
    signature: FromQuery[str] = "",
) -> Response[str]:
    """The text of an uploaded document, for whoever holds a citation's signed link."""
    found = None
    if await parts.gate.is_signed_source(document_id, signature):
        found = await find_source_text(parts.database, document_id)
    if found is not None:
        body = _MARKDOWN.render(found.text)
        return _render("source.html", title=found.title, language=found.language, body=body)
    if "text/html" not in (head.get(b"accept") or ""):
        raise NotFound(_MISSING)
    body = f"<p>{html.escape(_MISSING)}</p>"
    title = "This source is not there"
    return _render("source.html", status=404, title=title, language="en", body=body)


def _render(name: str, *, status: int = 200, **context: object) -> Response[str]:
    body = _TEMPLATES.get_template(name).render(**context)
    return Response(body, status_code=status, media_type="text/html", headers=_HEADERS)
