"""What the OpenAPI document says of the chat routes, which are no Litestar handlers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sitebrook.api.answers import OPERATION_PATH as ANSWER_PATH
from sitebrook.api.chat import PATH as CHAT_PATH
from sitebrook.api.schemas.chat import ChatCompletion, ChatRequest
from sitebrook.api.schemas.errors import ErrorResponse
from sitebrook.api.schemas.simple import ContentFrame, LastFrame, SimpleRequest
from sitebrook.api.simple import PATH as SIMPLE_PATH

TYPES: Final = (ChatRequest, ChatCompletion, ContentFrame, ErrorResponse, LastFrame, SimpleRequest)
REF: Final = "#/components/schemas/{name}"
_REFUSALS: Final = {
    "400": "A field is wrong; `param` names it",
    "401": "No valid key",
    "403": "Not from this origin, or not with this key",
    "404": "Unknown model or conversation",
    "405": "Not a method of this address",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "500": "A fault of the server; its log has the request id",
    "502": "The provider failed",
    "503": "Try again after `Retry-After` seconds",
    "504": "The provider took too long",
}
_QUESTION: Final = "How do I add documents?"
_PARAMETERS: Final = {
    "ticket": "From `POST /api/tickets`, for clients that cannot send a header; used up by this.",
    "history": "JSON text: a list of messages with `role` (user or assistant) and `content`.",
}


def chat_paths() -> dict[str, Any]:
    """The paths of the chat routes with their operations."""
    return {
        CHAT_PATH: {"post": _chat_operation()},
        SIMPLE_PATH: {"get": _simple_get(), "post": _simple_post()},
        ANSWER_PATH: {"get": _resume_get()},
    }


def _chat_operation() -> dict[str, Any]:
    return {
        "tags": ["chat"],
        "summary": "Answer a question",
        "description": (
            "OpenAI's chat completions, answered from the site's documents. With `stream` the "
            "response is `text/event-stream`: one `data:` line per chunk, `[DONE]` last; the "
            "chunk before `finish_reason` carries `annotations` and `citations`."
        ),
        "operationId": "ChatCompletions",
        "requestBody": _body(
            ChatRequest,
            {
                "model": "auto",
                "stream": True,
                "messages": [{"role": "user", "content": _QUESTION}],
            },
        ),
        "responses": _responses(
            {
                "application/json": {"schema": _refers(ChatCompletion)},
                "text/event-stream": {"schema": {"type": "string"}},
            }
        ),
    }


def _simple_post() -> dict[str, Any]:
    return {
        "tags": ["chat"],
        "summary": "Answer a question as a simple stream",
        "description": (
            'One `data:` line per piece of text, `{"content": "…"}`; then one with empty '
            "`content`, the `citations`, `finish_reason` and `conversation_id`; then `[DONE]`. A "
            'failure in the open stream is one last `{"error": {…}}`.'
        ),
        "operationId": "SimpleStream",
        "requestBody": _body(SimpleRequest, {"question": _QUESTION}),
        "responses": _responses(_simple_stream()),
    }


def _simple_get() -> dict[str, Any]:
    (_, fields) = msgspec.json.schema_components((SimpleRequest,), ref_template=REF)
    request = fields["SimpleRequest"]
    text = {"type": "string"}
    properties = {"ticket": text, **request["properties"], "history": text}
    return {
        "tags": ["chat"],
        "summary": "Answer a question as a simple stream, for EventSource",
        "description": (
            "As the POST, with the fields as parameters. It takes a ticket, a visitor token or a "
            "secret key, never a publishable key. Close the EventSource at `[DONE]`: it would "
            "connect again, and be refused, because a ticket opens one stream."
        ),
        "operationId": "SimpleStreamGet",
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in request["required"],
                "description": _PARAMETERS.get(name, ""),
                "schema": schema,
            }
            for name, schema in properties.items()
        ],
        "responses": _responses(_simple_stream()),
    }


def _resume_get() -> dict[str, Any]:
    return {
        "tags": ["chat"],
        "summary": "Read on in an answer",
        "description": (
            "The rest of an answer that was asked for with `X-Sitebrook-Resume: 1`, as it goes on "
            "or after its end, in the frames that its first client gets. It takes a secret key, "
            "the visitor token that asked, or a ticket for this path. A frame with "
            '`"snapshot": true` says that what was read before does not count, because the whole '
            "text follows."
        ),
        "operationId": "ResumeAnswer",
        "parameters": [
            _parameter("answer_id", "path", "From `x-answer-id`.", is_required=True),
            _parameter("Last-Event-ID", "header", "The `id` of the last frame that was read."),
            _parameter("after", "query", "The same, for clients that cannot send a header."),
            _parameter("ticket", "query", _PARAMETERS["ticket"]),
        ],
        "responses": {
            **_responses({"text/event-stream": {"schema": {"type": "string"}}}),
            "404": {
                "description": "No such answer of this caller, or it ended too long ago",
                "content": {"application/json": {"schema": _refers(ErrorResponse)}},
            },
        },
    }


def _parameter(
    name: str, place: str, description: str, *, is_required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": is_required,
        "description": description,
        "schema": {"type": "string"},
    }


def _simple_stream() -> dict[str, Any]:
    frames = [_refers(ContentFrame), _refers(LastFrame), _refers(ErrorResponse)]
    return {"text/event-stream": {"schema": {"anyOf": [*frames, {"type": "string"}]}}}


def _body(kind: type, example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _refers(kind), "example": example}}
    return {"required": True, "content": content}


def _responses(content: dict[str, Any]) -> dict[str, Any]:
    refusal = {"application/json": {"schema": _refers(ErrorResponse)}}
    return {
        "200": {"description": "The answer", "content": content},
        **{status: {"description": text, "content": refusal} for status, text in _REFUSALS.items()},
    }


def _refers(kind: type) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}
