"""One question's way to the client: as a stream of frames, or as one whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol, cast

from litestar.types import Scope, Send

from sitebrook.access.limits import allowances_of
from sitebrook.api.connection import connection_of
from sitebrook.api.errors import ErrorReply, to_reply
from sitebrook.api.http import ClientLeft, address_of, parts_of, ticker_of
from sitebrook.api.latency import timings_of
from sitebrook.api.log_streams import KEEP_ALIVE, STREAM_HEADERS
from sitebrook.api.resuming import answer_cancelled, to_numbered
from sitebrook.chat.answer import Answer, AnswerEvent, AnswerOrigin
from sitebrook.chat.answer_log import AnswerHead, AnswerLog
from sitebrook.chat.question import Question
from sitebrook.errors import Cancelled, RequestError
from sitebrook.ids import new_id
from sitebrook.providers.protocol import Delta, Finish
from sitebrook.telemetry.latency import Outcome

_RESUMED_PATIENCE_S: Final = 2.0


class StreamFormat(Protocol):
    """How one answer is written as frames; made for each stream."""

    def begin(self, origin: AnswerOrigin) -> None:
        """Tells what is known of the answer before its first event."""
        ...

    def encode(self, event: AnswerEvent) -> bytes:
        """The frames of an event, empty when it is not shown."""
        ...

    def restart(self) -> bytes:
        """The frame that says that what came before does not count, and all of it follows."""
        ...

    def end(self) -> bytes:
        """The frame that says that the answer is whole."""
        ...

    def encode_error(self, reply: ErrorReply) -> bytes:
        """The last frame of a stream that broke off, also before ``begin``."""
        ...


class Exchange:
    """One request that is being answered; whatever ends it early goes through here.

    ``break_off``, and a client that leaves, cancel the task that handles the request, which closes
    the upstream. An answer that can be resumed goes on without the client: its events are in the
    log, and they carry their positions.
    """

    def __init__(self, scope: Scope, send: Send, question: Question) -> None:
        parts = parts_of(scope)
        self.timings = timings_of(scope)
        self.answer_id = new_id("ans")
        self._chat = parts.chat
        self._open_answers = parts.open_answers
        self._limiter = parts.limiter
        self._allowances = allowances_of(question.caller, address_of(scope), parts.settings.limits)
        self._question = question
        self._clocks = parts.settings.server
        self._ticker = ticker_of(scope)
        self._connection = connection_of(scope)
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._sent_at = 0.0
        self._has_begun = False
        self._events = parts.events
        self._head: AnswerHead | None = None
        self._log: AnswerLog | None = None
        self._task: asyncio.Task[None] | None = None
        self._broken_off: RequestError | None = None

    def break_off(self, error: RequestError) -> None:
        """Ends the answer with ``error``, as if the upstream had failed."""
        if self._task is not None and self._broken_off is None:
            self._broken_off = error
            self._task.cancel()

    async def start(self) -> Answer:
        """The answer, once its first delta has arrived. Raises what refuses the question."""
        return await self._chat.start(self._question, self.answer_id, self.timings)

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work for as long as the client stays.

        Raises ClientLeft when it left, the error of ``break_off``, Unavailable when the server
        takes no new work, LimitReached when the caller has asked enough.
        """
        self._task = task = cast("asyncio.Task[None]", asyncio.current_task(self._loop))
        connection = self._connection
        connection.on_left = self._leave
        try:
            if connection.is_lost:
                self._leave()
            with self._open_answers.enter(self.break_off):
                await self._admit(work)
        except asyncio.CancelledError:
            if self._broken_off is not None and (self._head or not connection.is_lost):
                task.uncancel()
                raise self._broken_off from None
            if not connection.is_lost:
                raise
            task.uncancel()
            self.timings.outcome = "cancelled"
            raise ClientLeft from None
        finally:
            connection.on_left = None
            self._task = None
            work.close()  # never begun when the server takes no new work

    def note(self, batch: list[AnswerEvent]) -> None:
        """Counts events that are given to the client together."""
        deltas = len(batch)
        for event in batch:
            if type(event) is not Delta:
                deltas -= 1
                if isinstance(event, Finish):
                    self.timings.finish_reasons.append(event.reason)
        if deltas:
            self.timings.note_deltas(deltas)

    async def _admit(self, work: Coroutine[Any, Any, None]) -> None:
        if not self._allowances:
            await work
            return
        await self._limiter.open(self._allowances)
        try:
            await work
        finally:
            await self._limiter.close(self._allowances)

    async def stream(self, form: StreamFormat, head: AnswerHead | None = None) -> None:
        """Sends the answer delta by delta; a failure after the first byte is one error frame.

        The first byte is the first delta, or a keep-alive when that does not come soon. With
        ``head`` the answer can be resumed. Raises what refuses the question as long as nothing was
        sent, ClientLeft when the client left.
        """
        self._head = head
        early = self._loop.call_later(self._clocks.early_start_s, self._start_early)
        try:
            last = await self._tell(form)
            if not self._has_begun:
                await self._begin()
            self._connection.hold(last)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._has_begun = True  # an early start would come too late
            early.cancel()
            if self._log is not None:
                self._log.abandon()  # unless it was closed
            self._ticker.discard(self)

    def tick(self, now: float) -> None:
        """Shows a sign of life after a silence, and drops a client that reads nothing."""
        patience_s = self._clocks.slow_reader_s
        if self._log is not None:  # it holds up the answer for others, and can come back
            patience_s = min(patience_s, _RESUMED_PATIENCE_S)
        self._connection.drop_if_stuck(now, patience_s)
        if now - self._sent_at >= self._clocks.keep_alive_s and not self._connection.is_full:
            self._write(KEEP_ALIVE)

    async def _tell(self, form: StreamFormat) -> bytes:
        """Sends the answer's frames but the last, which says how it ended."""
        try:
            await self.run(self._relay(form))
        except ClientLeft:
            raise
        except Exception as error:
            reply = to_reply(error)
            if self._log is not None:
                self._log.fail(reply.encode())
            if not self._has_begun:
                raise
            self.timings.outcome = self._outcome_of(error)
            return form.encode_error(reply)
        if self._log is not None:
            self._log.close()
        return form.end()

    def _outcome_of(self, error: Exception) -> Outcome:
        if isinstance(error, Cancelled):
            return "cancelled"
        return "interrupted" if self.timings.deltas else "error"

    async def _relay(self, form: StreamFormat) -> None:
        answer = await self.start()
        form.begin(answer.origin)
        self._open_log()
        if self._log is not None:
            self._log.begin(answer.origin)
        connection = self._connection

        def show_at_once() -> None:
            if self._has_begun and not connection.is_full:
                self._write(self._to_frames(answer.take_deltas(), form))

        answer.on_ready(show_at_once)
        batches = answer.batches()
        try:
            async for batch in batches:
                frames = self._to_frames(batch, form)
                if frames and not self._has_begun:
                    await self._begin()
                self._write(frames)
                if connection.is_full:
                    await connection.drain()
        finally:
            await batches.aclose()

    def _to_frames(self, batch: list[AnswerEvent], form: StreamFormat) -> bytes:
        """The frames of events, which count as given to the client."""
        self.note(batch)
        log = self._log
        if log is not None:
            return b"".join([to_numbered(form.encode(one), log.add(one)) for one in batch])
        if len(batch) == 1:
            return form.encode(batch[0])
        return b"".join(map(form.encode, batch))

    def _leave(self) -> None:
        """The client is gone."""
        if self._head is None and self._task is not None:
            self._task.cancel()

    def _open_log(self) -> None:
        """Makes an answer that can be resumed known, before its id is."""
        if self._head is not None and self._log is None:
            site_id = self._question.caller.site.id
            self._log = AnswerLog(self._events, site_id, self.answer_id, self._head)
            self._log.on_cancel(lambda: self.break_off(answer_cancelled()))

    async def _begin(self) -> None:
        # So that sending the head waits for nothing, and no frame can come before it.
        if self._connection.is_full:
            await self._connection.drain()
        if self._has_begun:
            return
        self._has_begun = True
        self._open_log()
        self._sent_at = self._loop.time()
        self._ticker.add(self)
        headers = [*STREAM_HEADERS, (b"x-answer-id", self.answer_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _start_early(self) -> None:
        if not self._has_begun:
            self._early = self._loop.create_task(self._begin_early())

    async def _begin_early(self) -> None:
        if not self._has_begun and not self._connection.is_full:
            await self._begin()
            self._write(KEEP_ALIVE)

    def _write(self, frames: bytes) -> None:
        if frames:
            self._sent_at = self._loop.time()
            self._connection.write(frames)
