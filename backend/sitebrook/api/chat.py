"""``POST /v1/chat/completions``: a bare ASGI route, so that headers leave with the first delta."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.types import Receive, Scope, Send

from sitebrook.api.exchange import Exchange
from sitebrook.api.frames import ChunkFormat, CompletionBuilder
from sitebrook.api.http import (
    ClientLeft,
    head_of,
    method_of,
    parts_of,
    read_json,
    send_reply,
)
from sitebrook.api.latency import timings_of
from sitebrook.api.questions import to_question
from sitebrook.api.resuming import CHUNKS, resumed_head
from sitebrook.api.schemas.chat import ChatRequest, Retrieval
from sitebrook.api.store_wire import to_filter
from sitebrook.chat.question import Question
from sitebrook.parts import Parts
from sitebrook.telemetry.latency import Timings

PATH: Final = "/v1/chat/completions"
_DECODER: Final = msgspec.json.Decoder(ChatRequest)
_ENCODE: Final = msgspec.json.Encoder().encode


@asgi(PATH, copy_scope=False)
async def chat_completions(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a question, streamed or as one JSON body."""
    parts, timings = parts_of(scope), timings_of(scope)
    method = method_of(scope)
    timings.route = f"{method} {PATH}"
    if method != "POST":
        raise MethodNotAllowedException(headers={"allow": "POST"})
    try:
        wire, question = await _read_question(parts, scope, receive, timings)
        exchange = Exchange(scope, send, question)
        if wire.stream:
            usage = wire.stream_options is not None and wire.stream_options.include_usage
            resumed = resumed_head(scope, question.caller, CHUNKS, includes_usage=usage)
            await exchange.stream(ChunkFormat(includes_usage=usage), resumed)
        else:
            await exchange.run(_answer(exchange, send))
    except ClientLeft:
        timings.outcome = "cancelled"


async def _read_question(
    parts: Parts, scope: Scope, receive: Receive, timings: Timings
) -> tuple[ChatRequest, Question]:
    head = head_of(scope, parts.settings.server.public_url)
    limits = parts.settings.limits
    caller = await parts.gate.find_caller(head.to_credentials())
    timings.site_id = caller.site.id
    wire = await read_json(receive, head, _DECODER, max_bytes=limits.body_bytes)
    question = to_question(wire, caller, base_url=head.own_origin, limits=limits)
    if wire.retrieval is not None and wire.retrieval.store_ids is not None:
        question = await _in_stores(parts, question, wire.retrieval)
    return wire, question


async def _in_stores(parts: Parts, question: Question, wanted: Retrieval) -> Question:
    """The question, to be searched in vector stores. Raises NotFound, InvalidRequest."""
    filters = wanted.filters and to_filter(wanted.filters)
    site_id = question.caller.site.id
    places = await parts.store_search.find_places(site_id, wanted.store_ids or (), filters)
    retrieval = msgspec.structs.replace(question.retrieval, places=places)
    return msgspec.structs.replace(question, retrieval=retrieval)


async def _answer(exchange: Exchange, send: Send) -> None:
    """Sends the whole answer as JSON."""
    answer = await exchange.start()
    builder = CompletionBuilder(answer.origin)
    async with contextlib.aclosing(answer.batches()) as batches:
        async for batch in batches:
            exchange.note(batch)
            builder.add(batch)
    body = _ENCODE(builder.build())
    await send_reply(send, 200, body, {"x-answer-id": exchange.answer_id})
