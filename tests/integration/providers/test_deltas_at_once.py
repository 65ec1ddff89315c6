"""Deltas taken in the moment of their arrival, beside the iterator that gives the rest."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest
from tests.fakes.openai_scripts import ROLE, STOP, TEXT, chunk_of, event, stream
from tests.fakes.upstream import Exchange, FakeUpstream
from tests.integration.providers.reading import request

from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import Delta, Finish, ProviderEvent, ProviderStream, Usage


class _Reader:
    """Takes deltas as a connection does, which may be full now and then."""

    def __init__(self, opened: ProviderStream, *, takes: int = 1_000_000) -> None:
        self.at_once: list[Delta] = []
        self.events: list[ProviderEvent] = []
        self._opened = opened
        self._takes = takes
        opened.on_ready(self._take)

    def _take(self) -> None:
        if self._takes > 0:
            deltas = self._opened.take_deltas()
            self._takes -= len(deltas)
            self.at_once += deltas
            self.events += deltas

    async def read(self) -> None:
        try:
            async for one in self._opened:
                self.events.append(one)
        finally:
            await self._opened.aclose()

    @property
    def text(self) -> str:
        return "".join(one.content for one in self.events if isinstance(one, Delta))


@pytest.mark.parametrize("script", ["normal", "split", "crlf", "bom", "multi-line", "one-read"])
@pytest.mark.parametrize("takes", [0, 1, 2, 1_000_000])
async def test_nothing_is_lost_doubled_or_moved(provider, script: str, takes: int) -> None:
    reader = _Reader(await provider().open(request(script)), takes=takes)
    await reader.read()
    assert reader.text == TEXT
    assert len(reader.at_once) <= takes
    assert [type(one) for one in reader.events[-2:]] == [Finish, Usage]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_reads_that_end_inside_the_framing_of_http_end_nothing(
    provider, upstream: FakeUpstream, size: int
) -> None:
    async def in_pieces(exchange: Exchange) -> None:
        payloads = [ROLE, *(chunk_of({"content": word}) for word in ("a", "b", "c")), STOP]
        body = b"".join(event(one) for one in [*payloads, "[DONE]"])
        framed = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
        await exchange.head(content_type="text/event-stream")
        for start in range(0, len(framed), size):
            await exchange.raw(framed[start : start + size])
            await asyncio.sleep(0)
        await exchange.end()

    upstream.scripts["in-pieces"] = in_pieces
    reader = _Reader(await provider().open(request("in-pieces")))
    await reader.read()
    assert reader.text == "abc"


async def test_a_delta_comes_without_the_iterators_turn(provider, upstream: FakeUpstream) -> None:
    goes_on, taken = asyncio.Event(), asyncio.Event()

    async def pausing(exchange: Exchange) -> None:
        await stream(exchange, [ROLE, chunk_of({"content": "a"})])
        await goes_on.wait()
        await exchange.chunk(event(chunk_of({"content": "b"})))
        await taken.wait()
        await exchange.chunk(event(STOP) + event("[DONE]"))
        await exchange.end()

    upstream.scripts["pausing"] = pausing
    reader = _Reader(await provider().open(request("pausing")))
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    goes_on.set()
    async with asyncio.timeout(5):
        while not reader.at_once:
            await asyncio.sleep(0.001)
    taken.set()
    await reading
    assert [one.content for one in reader.at_once] == ["b"]
    assert reader.text == "ab"


@pytest.mark.parametrize("script", ["truncated", "bad-json", "error-event", "reset", "stall"])
async def test_a_failure_comes_through_the_iterator(provider, script: str) -> None:
    reader = _Reader(await provider(idle_timeout_s=0.3).open(request(script)))
    with pytest.raises(ProviderError):
        await reader.read()
    assert reader.text


async def test_the_idle_clock_begins_anew_with_each_delta(provider, upstream: FakeUpstream) -> None:
    async def slow(exchange: Exchange) -> None:
        await stream(exchange, [ROLE, chunk_of({"content": "a"})])
        for _ in range(5):
            await asyncio.sleep(0.1)
            await exchange.chunk(event(chunk_of({"content": "b"})))
        await exchange.chunk(event(STOP) + event("[DONE]"))
        await exchange.end()

    upstream.scripts["slow"] = slow
    reader = _Reader(await provider(idle_timeout_s=0.3).open(request("slow")))
    await reader.read()
    assert reader.text == "abbbbb"


async def test_who_listens_for_the_end_is_told_in_its_own_context(
    provider, upstream: FakeUpstream
) -> None:
    goes_on, is_told = asyncio.Event(), asyncio.Event()
    asked_by: ContextVar[str] = ContextVar("asked_by")
    told: list[str] = []
    asked = provider()

    async def pausing(exchange: Exchange) -> None:
        await stream(exchange, [ROLE, chunk_of({"content": "a"})])
        await goes_on.wait()
        await exchange.chunk(event(STOP) + event("[DONE]"))
        await is_told.wait()
        await exchange.end()

    async def ask(name: str, script: str) -> None:
        asked_by.set(name)
        opened = await asked.open(request(script))
        opened.on_end(lambda _: told.append(asked_by.get()))
        asyncio.get_running_loop().call_soon(goes_on.set)  # once it waits for more
        await _Reader(opened).read()

    upstream.scripts["pausing"] = pausing
    await asyncio.create_task(ask("first", "one-read"))
    goes_on.clear()
    await asyncio.create_task(ask("second", "pausing"))
    is_told.set()
    assert upstream.accepted == 1  # its reads run in the context of who opened the connection
    assert told == ["first", "second"]


@pytest.mark.parametrize("script", ["normal", "one-read"])
async def test_a_whole_stream_that_was_listened_to_leaves_nothing_for_the_collector(
    provider, script: str
) -> None:
    opened = await provider().open(request(script))
    gc.collect()
    gc.disable()
    try:
        reader = _Reader(opened)
        kept = weakref.ref(reader)
        await reader.read()
        del reader
        assert kept() is None
    finally:
        gc.enable()
