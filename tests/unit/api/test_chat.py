from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from sitebrook.api.chat import _Exchange
from sitebrook.chat.answer import Answer, AnswerOrigin
from sitebrook.providers.protocol import Delta, Finish
from sitebrook.settings import ServerSettings
from sitebrook.telemetry.latency import Timings


class _Stream:
    """A provider's stream of which one delta is there."""

    def __init__(self) -> None:
        self.is_closed = False
        self._events = [Delta(content="a"), Finish(0, "stop")]

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Any:
        if len(self._events) == 1:
            await asyncio.Event().wait()
        return self._events.pop(0)

    async def aclose(self) -> None:
        self.is_closed = True


class _Writer:
    def __init__(self) -> None:
        self.stored: list[Any] = []

    def put(self, answer: Any) -> None:
        self.stored.append(answer)


@pytest.mark.parametrize("steps", range(12))
async def test_a_caller_who_leaves_as_the_first_delta_comes_leaves_nothing_open(steps: int) -> None:
    stream, writer, due = _Stream(), _Writer(), asyncio.Event()
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    started: list[Answer] = []

    async def start(*_: object) -> Answer:
        await due.wait()
        started.append(Answer(origin, stream, (), writer, cites=False))  # pyright: ignore[reportArgumentType]
        return started[0]

    async def send(_: object) -> None:
        await asyncio.sleep(0)

    parts: Any = SimpleNamespace(
        chat=SimpleNamespace(start=start), settings=SimpleNamespace(server=ServerSettings())
    )
    question: Any = None
    exchange = _Exchange(parts, question, Timings(), send)
    asking = asyncio.create_task(exchange.stream(includes_usage=False))
    for _ in range(5):  # until it waits for the first delta
        await asyncio.sleep(0)
    due.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert stream.is_closed is bool(started)
    assert [one.status for one in writer.stored] == ["interrupted"] * len(started)
