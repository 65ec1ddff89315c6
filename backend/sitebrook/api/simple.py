"""``GET|POST /api/chat/stream``: the same answers in frames that any reader of events can take."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.types import Receive, Scope, Send

from sitebrook.api.errors import ErrorReply
from sitebrook.api.exchange import Exchange
from sitebrook.api.http import (
    ClientLeft,
    head_of,
    method_of,
    parts_of,
    read_json,
)
from sitebrook.api.latency import timings_of
from sitebrook.api.resuming import SIMPLE, resumed_head
from sitebrook.api.schemas.simple import ContentFrame, LastFrame, SimpleRequest
from sitebrook.api.simple_questions import from_parameters, from_simple, to_parameters
from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.chat.citations import Citation
from sitebrook.chat.question import Question
from sitebrook.providers.protocol import Delta, Finish

PATH: Final = "/api/chat/stream"
_DECODER: Final = msgspec.json.Decoder(SimpleRequest)
_ENCODE: Final = msgspec.json.Encoder().encode


@asgi(PATH, copy_scope=False)
async def simple_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a question as a stream of simple frames."""
    timings = timings_of(scope)
    method = method_of(scope)
    timings.route = f"{method} {PATH}"
    if method not in {"GET", "POST"}:
        raise MethodNotAllowedException(headers={"allow": "GET, POST"})
    try:
        question = await _read_question(scope, receive)
        head = resumed_head(scope, question.caller, SIMPLE)
        await Exchange(scope, send, question).stream(SimpleFormat(), head)
    except ClientLeft:
        timings.outcome = "cancelled"


class SimpleFormat:
    """``{"content": …}`` for each delta, one last frame with the sources, then ``[DONE]``."""

    def __init__(self) -> None:
        self._conversation_id: str | None = None
        self._citations: tuple[Citation, ...] = ()

    def begin(self, origin: AnswerOrigin) -> None:
        """Takes the conversation, which the last frame names."""
        self._conversation_id = origin.conversation_id

    def encode(self, event: AnswerEvent) -> bytes:
        """The frame for one event, none for what this format does not show."""
        if isinstance(event, Delta):
            text = event.content or event.refusal
            return _to_frame(ContentFrame(text)) if text else b""
        if isinstance(event, Cited):
            self._citations = event.citations
        elif isinstance(event, Finish):
            last = LastFrame(
                citations=self._citations,
                finish_reason=event.reason,
                conversation_id=self._conversation_id,
            )
            return _to_frame(last)
        return b""

    def restart(self) -> bytes:
        """A frame that says that what came before does not count, and all of it follows."""
        return b'data: {"content":"","snapshot":true}\n\n'

    def end(self) -> bytes:
        """The mark of a whole stream."""
        return b"data: [DONE]\n\n"

    def encode_error(self, reply: ErrorReply) -> bytes:
        """The last frame of a stream that broke off: the one error shape."""
        return _to_frame(reply.body)


def _to_frame(content: msgspec.Struct) -> bytes:
    return b"data: " + _ENCODE(content) + b"\n\n"


async def _read_question(scope: Scope, receive: Receive) -> Question:
    parts = parts_of(scope)
    head = head_of(scope, parts.settings.server.public_url)
    limits = parts.settings.limits
    if method_of(scope) == "GET":
        parameters = to_parameters(scope["query_string"])
        caller = await parts.gate.find_reader(head.to_credentials(), PATH, parameters.get("ticket"))
        timings_of(scope).site_id = caller.site.id
        wire = from_parameters(parameters)
    else:
        caller = await parts.gate.find_caller(head.to_credentials())
        timings_of(scope).site_id = caller.site.id
        wire = await read_json(receive, head, _DECODER, max_bytes=limits.body_bytes)
    return from_simple(wire, caller, base_url=head.own_origin, limits=limits)
