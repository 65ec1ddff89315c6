"""The OpenAPI document and its page, with every asset served from here."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from litestar import Request, Router
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

from sitebrook import __version__
from sitebrook.api.chat_operations import REF, TYPES, chat_paths
from sitebrook.api.static import DOCS_POLICY

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sitebrook API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/static/docs/swagger-ui-bundle.js"></script>
<script src="/static/docs/start.js"></script>
</body>
</html>
"""
_DESCRIPTION: Final = (
    "Answers from a site's own documents, streamed and cited. Send a key as "
    "`Authorization: Bearer sk-…`. Every error has one shape: "
    '`{"error":{"message","type","param","code"}}`.'
)


class DocsPage(OpenAPIRenderPlugin):
    """The page of the OpenAPI UI."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page; it loads the document itself."""
        del request, openapi_schema
        return _PAGE.encode()


class OpenAPIDocument(JsonRenderPlugin):
    """The document, with the chat operations, which are no Litestar handlers, added."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        del request
        return msgspec.json.encode(with_chat_operations(openapi_schema))


def openapi_config() -> OpenAPIConfig:
    """What the OpenAPI document says of the whole API."""
    return OpenAPIConfig(
        title="sitebrook",
        version=__version__,
        description=_DESCRIPTION,
        openapi_router=Router(
            "/docs",
            route_handlers=[],
            include_in_schema=False,
            before_request=_check_is_known,
            response_headers={"content-security-policy": DOCS_POLICY},
        ),
        render_plugins=[DocsPage(), OpenAPIDocument()],
        security=[{"key": []}],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        tags=[
            *(Tag("chat"), Tag("models"), Tag("documents"), Tag("files"), Tag("vector stores")),
            *(Tag("visitors"), Tag("operations")),
        ],
    )


async def _check_is_known(request: Request[Any, Any, Any]) -> None:
    # Litestar answers what lies below with a page of its own.
    if request.path_params:
        raise NotFoundException


def with_chat_operations(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the chat routes in it."""
    _, components = msgspec.json.schema_components(TYPES, ref_template=REF)
    known = schema.get("components", {})
    schemas = {**known.get("schemas", {}), **_without_own_keywords(components)}
    return {
        **schema,
        "paths": {**chat_paths(), **schema.get("paths", {})},
        "components": {**known, "schemas": schemas},
    }


def _without_own_keywords(components: dict[str, Any]) -> dict[str, Any]:
    # msgspec keeps line breaks of docstrings; Markdown in the UI would show them as code.
    for component in components.values():
        if "description" in component:
            component["description"] = re.sub(r"\n +", "\n", component["description"])
    return components
