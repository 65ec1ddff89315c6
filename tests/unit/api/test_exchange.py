from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sitebrook.access.limits import ProcessLimiter
from sitebrook.api.exchange import Exchange
from sitebrook.api.frames import ChunkFormat
from sitebrook.api.http import ClientLeft
from sitebrook.api.log_streams import KEEP_ALIVE
from sitebrook.api.simple import SimpleFormat
from sitebrook.api.ticker import Ticker
from sitebrook.chat.answer import Answer, AnswerOrigin
from sitebrook.chat.answer_log import AnswerHead, stream_of, to_head
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.events.ring_log import RingLog
from sitebrook.providers.protocol import Delta, Finish
from sitebrook.settings import EventSettings, LimitSettings, ServerSettings


class _Stream:
    """A provider's stream of which one delta is there; the end comes when it is let go."""

    has_ready = False

    def __init__(self) -> None:
        self.is_closed = False
        self.goes_on = asyncio.Event()
        self.events: list[Any] = [Delta(content="a"), Finish(0, "stop")]

    def on_ready(self, listener: Callable[[], None]) -> None:
        pass

    def take_deltas(self) -> list[Delta]:
        return []

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Any:
        if not self.events:
            raise StopAsyncIteration
        if len(self.events) == 1:
            await self.goes_on.wait()
        return self.events.pop(0)

    async def aclose(self) -> None:
        self.is_closed = True


class _Writer:
    def __init__(self) -> None:
        self.stored: list[Any] = []

    def put(self, answer: Any) -> None:
        self.stored.append(answer)

    async def store(self, answer: Any) -> None:
        self.stored.append(answer)


class _Connection:
    """What a client sees of the stream, and its leaving."""

    is_full = False
    is_lost = False
    patience_s = 0.0
    on_left: Callable[[], object] | None = None

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_read = asyncio.Event()
        self.is_read.set()

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    hold = write

    async def drain(self) -> None:
        await self.is_read.wait()

    def stop_reading(self) -> None:
        self.is_full = True
        self.is_read.clear()

    def drop_if_stuck(self, now: float, patience_s: float) -> None:
        self.patience_s = patience_s
        if self.is_full:
            self.leave()

    def leave(self) -> None:
        self.is_lost, self.is_full = True, False
        self.is_read.set()
        if self.on_left is not None:
            self.on_left()


class _Scene:
    """An exchange over a provider and a client that the test plays."""

    def __init__(self, refusal: Exception | None = None, **clocks: Any) -> None:
        self.stream, self.writer, self.connection = _Stream(), _Writer(), _Connection()
        self.events = RingLog(EventSettings())
        self.due = asyncio.Event()
        self.started: list[Answer] = []
        self.sent: list[Any] = []
        self._refusal = refusal
        server = ServerSettings(**clocks)
        parts = SimpleNamespace(
            chat=SimpleNamespace(start=self._start),
            open_answers=OpenAnswers(),
            limiter=ProcessLimiter(),
            events=self.events,
            settings=SimpleNamespace(server=server, limits=LimitSettings()),
        )
        state = SimpleNamespace(parts=parts, ticker=Ticker(0.01))
        scope: Any = {
            "litestar_app": SimpleNamespace(state=state),
            "extensions": {"sitebrook.connection": self.connection},
        }
        caller = SimpleNamespace(
            key_id="key_1", has_secret_key=True, site=SimpleNamespace(id="site_1")
        )
        question: Any = SimpleNamespace(caller=caller)
        self.exchange = Exchange(scope, self._send, question)

    async def _start(self, *_: object) -> Answer:
        await self.due.wait()
        if self._refusal is not None:
            raise self._refusal
        origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
        stream: Any = self.stream
        writer: Any = self.writer
        self.started.append(Answer(origin, stream, None, writer))
        return self.started[0]

    async def _send(self, message: Any) -> None:
        await self.connection.drain()
        self.sent.append(message["type"])

    def begin(self, head: AnswerHead | None = None) -> asyncio.Task[None]:
        return asyncio.create_task(self.exchange.stream(ChunkFormat(includes_usage=False), head))

    async def logged(self) -> list[str]:
        """The kinds of the events in the log, to the end."""
        stream = stream_of("site_1", self.exchange.answer_id)
        async with asyncio.timeout(5), self.events.read(stream) as reader:
            return [event.kind async for event in reader]


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(12))
async def test_a_client_that_leaves_as_the_first_delta_comes_leaves_nothing_open(
    steps: int,
) -> None:
    scene = _Scene()
    asking = scene.begin()
    await _steps(5)
    scene.due.set()
    await _steps(steps)
    scene.connection.leave()
    with pytest.raises(ClientLeft):
        await asking
    assert scene.exchange.timings.outcome == "cancelled"
    assert scene.stream.is_closed is bool(scene.started)
    assert [one.status for one in scene.writer.stored] == ["interrupted"] * len(scene.started)


async def test_a_whole_answer_is_written_delta_by_delta() -> None:
    scene = _Scene()
    asking = scene.begin()
    scene.due.set()
    await _steps(3)
    assert b'"content":"a"' in b"".join(scene.connection.frames)
    scene.stream.goes_on.set()
    await asking
    assert scene.connection.frames[-1] == b"data: [DONE]\n\n"
    assert scene.sent == ["http.response.start", "http.response.body"]
    assert [one.status for one in scene.writer.stored] == ["complete"]


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_answer_that_is_broken_off_ends_with_its_error(*, is_late: bool) -> None:
    scene = _Scene()
    asking = scene.begin()
    await _steps(2)
    if is_late:
        scene.due.set()
        await _steps(3)
    scene.exchange.break_off(Unavailable("The server is restarting.", code="server_stopping"))
    scene.exchange.break_off(Unavailable("Once only.", code="other"))
    if not is_late:
        with pytest.raises(Unavailable) as refused:
            await asking
        assert refused.value.code == "server_stopping"
        assert not scene.sent
        return
    await asking
    assert b"server_stopping" in scene.connection.frames[-1]
    assert scene.sent[-1] == "http.response.body"
    assert [one.status for one in scene.writer.stored] == ["interrupted"]
    assert scene.stream.is_closed


async def test_a_refusal_before_the_first_byte_is_raised() -> None:
    scene = _Scene(InvalidRequest("No."))
    asking = scene.begin()
    scene.due.set()
    with pytest.raises(InvalidRequest):
        await asking
    assert not scene.sent


async def test_a_late_answer_begins_with_keep_alives_and_a_late_refusal_is_a_frame() -> None:
    scene = _Scene(InvalidRequest("No."), early_start_s=0.01, keep_alive_s=0.01)
    asking = scene.begin()
    async with asyncio.timeout(5):
        while len(scene.connection.frames) < 3:
            await asyncio.sleep(0.005)
    scene.due.set()
    await asking
    *alive, last = scene.connection.frames
    assert set(alive) == {KEEP_ALIVE}
    assert last.startswith(b'data: {"error":')
    assert scene.sent == ["http.response.start", "http.response.body"]


async def test_cancelling_the_task_is_not_taken_for_a_client_that_left() -> None:
    scene = _Scene()
    asking = scene.begin()
    await _steps(2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_client_that_leaves_as_the_stream_would_start_early_is_not_written_to() -> None:
    scene = _Scene(early_start_s=0.01)
    asyncio.get_running_loop().call_later(0.009, scene.connection.leave)
    asking = scene.begin()
    await _steps(2)
    time.sleep(0.02)  # then both are due at the same moment
    with pytest.raises(ClientLeft):
        await asking
    await _steps(3)
    assert (scene.sent, scene.connection.frames) == ([], [])


async def test_a_client_that_does_not_even_read_the_error_is_dropped() -> None:
    scene = _Scene()
    asking = scene.begin()
    scene.due.set()
    await _steps(3)
    scene.connection.stop_reading()
    scene.exchange.break_off(Unavailable("The server is restarting.", code="server_stopping"))
    async with asyncio.timeout(5):
        await asking
    assert b"server_stopping" in scene.connection.frames[-1]
    assert scene.connection.is_lost


@pytest.mark.parametrize("ends", ["read", "broken off"])
async def test_nothing_is_written_before_the_head_while_an_earlier_response_is_unread(
    ends: str,
) -> None:
    scene = _Scene(early_start_s=0.01)
    scene.connection.stop_reading()
    asking = scene.begin()
    await asyncio.sleep(0.02)
    scene.due.set()
    await _steps(5)
    assert (scene.sent, scene.connection.frames) == ([], [])
    if ends == "read":
        scene.connection.is_full = False
        scene.connection.is_read.set()
        scene.stream.goes_on.set()
        await asking
        assert scene.sent == ["http.response.start", "http.response.body"]
        assert scene.connection.frames[-1] == b"data: [DONE]\n\n"
    else:
        scene.exchange.break_off(Unavailable("The server is restarting.", code="server_stopping"))
        with pytest.raises(Unavailable):
            await asking
        assert (scene.sent, scene.connection.frames) == ([], [])


async def test_the_response_begins_with_the_first_frame_not_with_a_delta_that_is_not_shown() -> (
    None
):
    scene = _Scene()
    scene.stream.events = [Delta(reasoning_content="Hm."), Finish(0, "stop")]
    asking = asyncio.create_task(scene.exchange.stream(SimpleFormat()))
    scene.due.set()
    await _steps(5)
    assert (scene.sent, scene.connection.frames) == ([], [])
    scene.stream.goes_on.set()
    await asking
    last, end = scene.connection.frames
    assert b'"finish_reason":"stop"' in last
    assert end == b"data: [DONE]\n\n"
    assert scene.sent == ["http.response.start", "http.response.body"]


_RESUMED = AnswerHead("chunks")


@pytest.mark.parametrize("steps", range(12))
async def test_an_answer_that_can_be_resumed_goes_on_when_its_client_leaves(steps: int) -> None:
    scene = _Scene()
    asking = scene.begin(_RESUMED)
    await _steps(steps)
    scene.due.set()
    await _steps(steps)
    scene.connection.leave()
    scene.stream.goes_on.set()
    await asking
    assert [one.status for one in scene.writer.stored] == ["complete"]
    kinds = await scene.logged()
    assert (kinds[0], kinds[1], kinds[-1]) == ("begun", "delta", "end")
    assert scene.exchange.timings.outcome == "ok"


async def test_frames_of_an_answer_that_can_be_resumed_carry_their_positions() -> None:
    scene = _Scene()
    asking = scene.begin(_RESUMED)
    scene.due.set()
    scene.stream.goes_on.set()
    await asking
    ids = re.findall(rb"(?m)^id: (\S+)$", b"".join(scene.connection.frames))
    assert ids == [b"1-%d" % number for number in range(2, len(ids) + 2)]


@pytest.mark.parametrize("has_left", [False, True])
async def test_an_answer_that_is_cancelled_says_so_in_the_log(has_left: bool) -> None:
    scene = _Scene()
    asking = scene.begin(_RESUMED)
    scene.due.set()
    await _steps(5)
    if has_left:
        scene.connection.leave()
    assert await scene.events.cancel(stream_of("site_1", scene.exchange.answer_id))
    await asking
    assert (await scene.logged())[-2:] == ["error", "end"]
    assert scene.stream.is_closed
    assert scene.exchange.timings.outcome == "cancelled"
    assert [one.status for one in scene.writer.stored] == ["interrupted"]


async def test_a_task_that_is_cancelled_leaves_no_stream_open() -> None:
    scene = _Scene()
    asking = scene.begin(_RESUMED)
    scene.due.set()
    await _steps(5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await scene.logged())[-1] == "lost"


async def test_an_answer_is_in_the_log_before_its_late_first_delta() -> None:
    scene = _Scene(early_start_s=0.001)
    asking = scene.begin(_RESUMED)
    while not scene.sent:
        await asyncio.sleep(0)
    async with scene.events.read(stream_of("site_1", scene.exchange.answer_id)) as reader:
        assert to_head(reader.head) == _RESUMED
    scene.due.set()
    scene.stream.goes_on.set()
    await asking
    assert (await scene.logged())[0] == "begun"


@pytest.mark.parametrize(("head", "patience_s"), [(None, 60.0), (_RESUMED, 2.0)])
async def test_a_client_that_holds_up_other_readers_is_dropped_sooner(
    head: AnswerHead | None, patience_s: float
) -> None:
    scene = _Scene()
    asking = scene.begin(head)
    scene.due.set()
    while not scene.sent:
        await asyncio.sleep(0)
    scene.exchange.tick(0)
    assert scene.connection.patience_s == patience_s
    scene.stream.goes_on.set()
    await asking
