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
from sitebrook.api.chat import PATH as CHAT_PATH
from sitebrook.api.schemas.chat import ChatCompletion, ChatRequest
from sitebrook.api.schemas.errors import ErrorResponse
from sitebrook.api.static import DOCS_POLICY

_REF: Final = "#/components/schemas/{name}"
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
    """The document, with the chat operation, which is no Litestar handler, added."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        del request
        return msgspec.json.encode(with_chat_operation(openapi_schema))


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
        tags=[Tag("chat"), Tag("models"), Tag("documents"), Tag("visitors"), Tag("operations")],
    )


async def _check_is_known(request: Request[Any, Any, Any]) -> None:
    # Litestar answers what lies below with a page of its own.
    if request.path_params:
        raise NotFoundException


def with_chat_operation(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with ``POST /v1/chat/completions`` in it."""
    types = (ChatRequest, ChatCompletion, ErrorResponse)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = schema.get("components", {})
    schemas = {**known.get("schemas", {}), **_without_own_keywords(components)}
    return {
        **schema,
        "paths": {CHAT_PATH: {"post": _chat_operation()}, **schema.get("paths", {})},
        "components": {**known, "schemas": schemas},
    }


def _without_own_keywords(components: dict[str, Any]) -> dict[str, Any]:
    # msgspec keeps line breaks of docstrings; Markdown in the UI would show them as code.
    for component in components.values():
        if "description" in component:
            component["description"] = re.sub(r"\n +", "\n", component["description"])
    return components


def _chat_operation() -> dict[str, Any]:
    def refers(kind: type) -> dict[str, str]:
        return {"$ref": _REF.format(name=kind.__name__)}

    refusal = {"application/json": {"schema": refers(ErrorResponse)}}
    statuses = {
        "400": "A field is wrong; `param` names it",
        "401": "No valid key",
        "403": "Not from this origin, or not with this key",
        "404": "Unknown model or conversation",
        "405": "Not a POST",
        "413": "The body is too large",
        "415": "The body is not JSON",
        "500": "A fault of the server; its log has the request id",
        "502": "The provider failed",
        "503": "Try again after `Retry-After` seconds",
        "504": "The provider took too long",
    }
    return {
        "tags": ["chat"],
        "summary": "Answer a question",
        "description": (
            "OpenAI's chat completions, answered from the site's documents. With `stream` the "
            "response is `text/event-stream`: one `data:` line per chunk, `[DONE]` last; the "
            "chunk before `finish_reason` carries `annotations` and `citations`."
        ),
        "operationId": "ChatCompletions",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": refers(ChatRequest),
                    "example": {
                        "model": "auto",
                        "stream": True,
                        "messages": [{"role": "user", "content": "How do I add documents?"}],
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer",
                "content": {
                    "application/json": {"schema": refers(ChatCompletion)},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            **{
                status: {"description": text, "content": refusal}
                for status, text in statuses.items()
            },
        },
    }
