"""``POST /v1/chat/completions``: a bare ASGI route, so that headers leave with the first delta."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.types import Receive, Scope, Send

from sitebrook.api.errors import to_reply
from sitebrook.api.frames import (
    DONE,
    KEEP_ALIVE,
    ChunkEncoder,
    CompletionBuilder,
    encode_error_frame,
)
from sitebrook.api.http import (
    ClientLeft,
    background,
    cancel,
    check_json_type,
    decode_json,
    head_of,
    method_of,
    parts_of,
    read_body,
    run_while_connected,
    send_reply,
)
from sitebrook.api.latency import timings_of
from sitebrook.api.questions import to_question
from sitebrook.api.schemas.chat import ChatRequest
from sitebrook.chat.answer import Answer
from sitebrook.chat.open_answers import Interruption
from sitebrook.chat.question import Question
from sitebrook.ids import new_id
from sitebrook.parts import Parts
from sitebrook.providers.protocol import Delta
from sitebrook.telemetry.latency import Timings

PATH: Final = "/v1/chat/completions"
_STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_DECODER: Final = msgspec.json.Decoder(ChatRequest)


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
    except ClientLeft:
        timings.outcome = "cancelled"
        return
    exchange = _Exchange(parts, question, timings, send)
    if wire.stream:
        usage = wire.stream_options is not None and wire.stream_options.include_usage
        work = exchange.stream(includes_usage=usage)
    else:
        work = exchange.answer()
    try:
        with parts.open_answers.enter(exchange.interruption.end):
            if not await run_while_connected(work, receive):
                timings.outcome = "cancelled"
    finally:
        work.close()  # never begun when the server is stopping


async def _read_question(
    parts: Parts, scope: Scope, receive: Receive, timings: Timings
) -> tuple[ChatRequest, Question]:
    head = head_of(scope, parts.settings.server.public_url)
    limits = parts.settings.limits
    caller = await parts.gate.find_caller(head.to_credentials())
    timings.site_id = caller.site.id
    check_json_type(head)
    wire = decode_json(await read_body(receive, head, max_bytes=limits.body_bytes), _DECODER)
    return wire, to_question(wire, caller, base_url=head.own_origin, limits=limits)


class _Exchange:
    """One request's way from its question to the last byte."""

    def __init__(self, parts: Parts, question: Question, timings: Timings, send: Send) -> None:
        self._chat = parts.chat
        self._clocks = parts.settings.server
        self._question = question
        self._timings = timings
        self._send = send
        self._answer_id = new_id("ans")
        self.interruption = Interruption()
        self._sent_at = 0.0
        self._is_relayed = False

    async def answer(self) -> None:
        """Sends the whole answer as JSON."""
        async with self.interruption:
            answer = await self._start()
            builder = CompletionBuilder(answer.origin)
            async with contextlib.aclosing(answer.events()) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        self._timings.note_delta()
                    builder.add(event)
        body = msgspec.json.encode(builder.build())
        await send_reply(self._send, 200, body, {"x-answer-id": self._answer_id})

    async def stream(self, *, includes_usage: bool) -> None:
        """Sends the answer delta by delta; a failure after the first byte is one error frame.

        The first byte is the first delta, or a keep-alive when that does not come soon.
        """
        start = asyncio.ensure_future(self._start())
        try:
            async with self.interruption:
                await asyncio.wait({start}, timeout=self._clocks.early_start_s)
            if start.done() and start.exception() is not None:
                await start
            await self._send_head()
            if not start.done():
                await self._send_frame(KEEP_ALIVE)
            async with background(self._keep_alive()):
                await self._relay(start, includes_usage=includes_usage)
        finally:
            await self._end(start)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end(self, start: asyncio.Future[Answer]) -> None:
        if not start.done():
            await cancel(start)
        # The caller may leave at the very moment at which the first delta comes.
        if not self._is_relayed and not start.cancelled() and start.exception() is None:
            await start.result().abandon()

    async def _start(self) -> Answer:
        return await self._chat.start(self._question, self._answer_id, self._timings)

    async def _relay(self, start: asyncio.Future[Answer], *, includes_usage: bool) -> None:
        try:
            async with self.interruption:
                answer = await start
                self._is_relayed = True
                encoder = ChunkEncoder(answer.origin, includes_usage=includes_usage)
                async with contextlib.aclosing(answer.events()) as events:
                    async for event in events:
                        frame = encoder.encode(event)
                        if isinstance(event, Delta):
                            self._timings.note_delta()
                        if frame:
                            await self._send_frame(frame)
            await self._send_frame(DONE)
        except Exception as error:  # noqa: BLE001 - an open stream can only end with an error frame
            self._timings.outcome = "error"
            await self._send_frame(encode_error_frame(to_reply(error)))

    async def _send_head(self) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        headers = {**_STREAM_HEADERS, "x-answer-id": self._answer_id}
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )

    async def _send_frame(self, frame: bytes) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._clocks.keep_alive_s
        while True:
            silent_s = loop.time() - self._sent_at
            if silent_s >= pause_s:
                await self._send_frame(KEEP_ALIVE)
                silent_s = 0.0
            await asyncio.sleep(pause_s - silent_s)
