"""Answers in flight: read on from where a client stopped, or stopped from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import parse_qs

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowance_of_address
from sitebrook.api.errors import ErrorReply, to_reply
from sitebrook.api.exchange import StreamFormat
from sitebrook.api.frames import ChunkFormat
from sitebrook.api.http import ClientLeft, address_of, head_of, parts_of
from sitebrook.api.latency import timings_of
from sitebrook.api.log_streams import LogStream
from sitebrook.api.resuming import (
    SIMPLE,
    answer_elsewhere,
    answer_lost,
    answer_unknown,
    answer_unreadable,
    to_numbered,
)
from sitebrook.api.schemas.answers import CancelledAnswer
from sitebrook.api.simple import SimpleFormat
from sitebrook.chat.answer_log import (
    AnswerHead,
    Begun,
    LoggedError,
    LoggedEvent,
    from_log,
    stream_of,
    to_head,
)
from sitebrook.errors import NotFound, RedisAway
from sitebrook.events.log import END, LOST, SNAPSHOT, Event, EventReader
from sitebrook.parts import Parts

OPERATION_PATH: Final = "/api/answers/{answer_id}/stream"
_PATH: Final = OPERATION_PATH.replace("answer_id", "answer_id:str")
# It is there; only a Redis that was emptied a moment ago has to get it from its owner first.
_FIRST_S: Final = 5.0


@get(_PATH, include_in_schema=False)
async def resume_answer(answer_id: FromPath[str]) -> ASGIApp:
    """The rest of an answer, behind the event that ``Last-Event-ID`` or ``after`` names."""

    async def send_rest(scope: Scope, _: Receive, send: Send) -> None:
        try:
            await _resume(answer_id, scope, send)
        except ClientLeft:
            timings_of(scope).outcome = "cancelled"

    return send_rest


async def _resume(answer_id: str, scope: Scope, send: Send) -> None:
    parts, timings = parts_of(scope), timings_of(scope)
    parameters = _to_parameters(scope["query_string"])
    head = head_of(scope, parts.settings.server.public_url)
    caller = await parts.gate.find_reader(
        head.to_credentials(), str(scope["path"]), parameters.get("ticket")
    )
    timings.site_id = caller.site.id
    if not caller.has_secret_key:
        allowance = allowance_of_address(address_of(scope), parts.settings.limits)
        await parts.limiter.count([allowance])
    after = head.get(b"last-event-id") or parameters.get("after")
    async with _opened(parts, caller, answer_id, after) as reader:
        form = ResumedAnswer(to_head(reader.head))
        if not reader.position.endswith("-0"):
            form.begin(await _read_first(parts, caller, answer_id))
        await LogStream(scope, send).run(reader, form, [(b"x-answer-id", answer_id.encode())])


@post(
    "/api/answers/{answer_id:str}/cancel",
    status_code=200,
    summary="Stop an answer",
    tags=["chat"],
)
async def cancel_answer(
    answer_id: FromPath[str], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> CancelledAnswer:
    """Stops an answer that can be resumed, in whatever process it is; what it said so far stays."""
    async with _opened(parts, caller, answer_id, None):
        was_running = await parts.events.cancel(stream_of(caller.site.id, answer_id))
    return CancelledAnswer(answer_id, was_running)


class ResumedAnswer:
    """The frames that the answer's first client got, with the same ids."""

    def __init__(self, head: AnswerHead) -> None:
        self._form: StreamFormat = (
            SimpleFormat()
            if head.format == SIMPLE
            else ChunkFormat(includes_usage=head.includes_usage)
        )
        self._has_failed = False

    def begin(self, first: Event) -> None:
        """Takes what all frames have in common from the first event there is.

        Raises Unavailable where that is a summary which has nothing: what it stood for is gone.
        """
        begun = next((told for told in from_log(first) if isinstance(told, Begun)), None)
        if begun is not None:
            self._form.begin(begun.to_origin())
        elif first.kind == SNAPSHOT:
            raise answer_unreadable()

    def encode(self, event: Event) -> bytes:
        """The frames of an event. Raises as ``begin``."""
        if event.kind == END:
            return b"" if self._has_failed else self._form.end()
        if event.kind == LOST:
            return self._form.encode_error(to_reply(answer_lost()))
        frames = b""
        if event.kind == SNAPSHOT:
            self.begin(event)
            frames = self._form.restart()
        frames += b"".join(map(self._to_frames, from_log(event)))
        return frames if self._has_failed else to_numbered(frames, event.position)

    def encode_error(self, reply: ErrorReply) -> bytes:
        """The last frame when the log cannot be read on."""
        return self._form.encode_error(reply)

    def _to_frames(self, told: LoggedEvent) -> bytes:
        if isinstance(told, Begun):
            self._form.begin(told.to_origin())
            return b""
        if isinstance(told, LoggedError):
            self._has_failed = True
            return b"data: " + told.body + b"\n\n"
        return self._form.encode(told)


@contextlib.asynccontextmanager
async def _opened(
    parts: Parts, caller: Caller, answer_id: str, after: str | None
) -> AsyncGenerator[EventReader]:
    """The caller's answer in the log. Raises NotFound, InvalidRequest, Unavailable."""
    reading = parts.events.read(stream_of(caller.site.id, answer_id), after)
    try:
        reader = await reading.__aenter__()
    except NotFound:
        raise answer_unknown() from None
    except RedisAway as away:
        raise answer_elsewhere(away) from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(reading)
        if not _may_read(caller, to_head(reader.head).visitor_id):
            raise answer_unknown()
        yield reader


def _may_read(caller: Caller, visitor_id: str | None) -> bool:
    is_own = caller.visitor_id is not None and caller.visitor_id == visitor_id
    return caller.has_secret_key or is_own


async def _read_first(parts: Parts, caller: Caller, answer_id: str) -> Event:
    """The first event of an answer that has further ones. Raises as ``_opened``."""
    try:
        async with asyncio.timeout(_FIRST_S), _opened(parts, caller, answer_id, None) as reader:
            return await anext(reader)
    except TimeoutError:
        raise answer_unreadable() from None


def _to_parameters(query: bytes) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
